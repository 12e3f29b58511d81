"""Code lists of ix/1: one spelling per term, unknown codes refused (VOC-1 to VOC-9, `spec/vocabulary.md`).

Terms follow public texts (SIENA handling codes, the 4x4 evaluation, UN Smuggling Protocol art. 10,
Directive (EU) 2023/977, LED 2016/680 art. 6). Aligned with them, conformant to none: this is a
simulation.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What kind of agency a party is; a clause may name roles instead of agencies."""

    POLICE = "police"
    BORDER_GUARD = "border_guard"
    FIU = "fiu"
    PROSECUTOR = "prosecutor"
    HUB = "hub"
    NGO = "ngo"
    OVERSIGHT = "oversight"


class MessageType(StrEnum):
    """What a message asks or tells."""

    INFO_REQUEST = "info_request"
    INFO_REPLY = "info_reply"
    INFO_PARTIAL = "info_partial"
    INFO_REFUSAL = "info_refusal"
    CLARIFICATION_REQUEST = "clarification_request"
    CLARIFICATION = "clarification"
    SPONTANEOUS_INFO = "spontaneous_info"
    HIT_REPORT = "hit_report"
    VICTIM_REFERRAL = "victim_referral"
    SAFETY_NOTICE = "safety_notice"
    EVIDENCE_TRANSFER = "evidence_transfer"
    EXERCISE_INJECT = "exercise_inject"


class Purpose(StrEnum):
    """Why data is disclosed; another purpose later needs consent."""

    PREVENT = "prevent"
    DETECT = "detect"
    INVESTIGATE = "investigate"
    PROSECUTE = "prosecute"
    EXECUTE_PENALTY = "execute_penalty"
    CROSS_CHECK = "cross_check"
    STRATEGIC_ANALYSIS = "strategic_analysis"
    OPERATIONAL_ANALYSIS = "operational_analysis"
    LOCATE_PERSON = "locate_person"
    MISSING_PERSON = "missing_person"
    VICTIM_PROTECTION = "victim_protection"
    BORDER_CHECK = "border_check"
    ASSET_TRACING = "asset_tracing"
    TRAINING_EXERCISE = "training_exercise"


class CrimeArea(StrEnum):
    """The offence area a message is about (a selection of Europol Regulation Annex I)."""

    IMMIGRANT_SMUGGLING = "immigrant_smuggling"
    HUMAN_TRAFFICKING = "human_trafficking"
    MONEY_LAUNDERING = "money_laundering"
    ORGANISED_CRIME = "organised_crime"
    FORGED_DOCUMENTS = "forged_documents"
    SEXUAL_EXPLOITATION = "sexual_exploitation"
    TERRORISM = "terrorism"
    CORRUPTION = "corruption"


class Classification(StrEnum):
    """Protection level, simulated; compare with ``rank``."""

    UNCLASSIFIED = "unclassified"
    RESTRICTED = "restricted"
    CONFIDENTIAL = "confidential"
    SECRET = "secret"

    @property
    def rank(self) -> int:
        """Position from lowest (0) to highest."""
        return _CLASS_ORDER.index(self)


_CLASS_ORDER: Final = list(Classification)


class Handling(StrEnum):
    """SIENA handling codes; they combine, and the stricter wins."""

    H0 = "H0"
    H1 = "H1"
    H2 = "H2"
    H3 = "H3"


class Urgency(StrEnum):
    """Deadline class of a request (Directive (EU) 2023/977 art. 5)."""

    U_DIRECT = "u_direct"
    U_INDIRECT = "u_indirect"
    NORMAL = "normal"
    NONE = "none"


DEADLINE_HOURS: Final = {Urgency.U_DIRECT: 8, Urgency.U_INDIRECT: 72, Urgency.NORMAL: 168}
"""Hours until an answer is due, by deadline class; ``none`` has no deadline."""


class PersonCategory(StrEnum):
    """How a person stands to the case (LED art. 6)."""

    SUSPECT = "suspect"
    POTENTIAL_OFFENDER = "potential_offender"
    WITNESS = "witness"
    VICTIM = "victim"
    CONTACT = "contact"
    ASSOCIATE = "associate"
    INFORMANT = "informant"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Category(StrEnum):
    """What a message carries, as its manifest declares it and its content must show (MSG-31)."""

    SMUG_A_ROUTES = "smug_a_routes"
    SMUG_B_GROUPS = "smug_b_groups"
    SMUG_C_DOCUMENTS = "smug_c_documents"
    SMUG_D_CONCEALMENT = "smug_d_concealment"
    SMUG_E_LEGISLATIVE = "smug_e_legislative"
    SMUG_F_TECHNICAL = "smug_f_technical"
    TRAF_A_STATUS = "traf_a_status"
    TRAF_B_DOCUMENTS = "traf_b_documents"
    TRAF_C_METHODS = "traf_c_methods"
    PERSON_SUSPECT = "person_suspect"
    PERSON_POTENTIAL_OFFENDER = "person_potential_offender"
    PERSON_WITNESS = "person_witness"
    PERSON_VICTIM = "person_victim"
    PERSON_CONTACT = "person_contact"
    PERSON_ASSOCIATE = "person_associate"
    PERSON_INFORMANT = "person_informant"
    PERSON_MISSING = "person_missing"
    PERSON_UNKNOWN = "person_unknown"
    DATA_MINOR = "data_minor"
    DATA_FINANCIAL = "data_financial"
    DATA_COMMUNICATIONS = "data_communications"
    DATA_TRANSPORT = "data_transport"
    DATA_IDENTIFICATION = "data_identification"
    DATA_CRIMINAL_CONDUCT = "data_criminal_conduct"
    DATA_SPECIAL_CATEGORY = "data_special_category"
    DATA_VICTIMISATION = "data_victimisation"
    DATA_PROTECTION_CLAIM = "data_protection_claim"
    DATA_ATTACHMENT = "data_attachment"


class LegalBasis(StrEnum):
    """Instruments a binding agreement may rest on; non-binding processes are not among them."""

    UNTOC_18 = "untoc_18"
    UNTOC_19 = "untoc_19"
    UNTOC_27 = "untoc_27"
    SMUGGLING_PROT_10 = "smuggling_prot_10"
    TRAFFICKING_PROT_10 = "trafficking_prot_10"
    BILATERAL_AGREEMENT = "bilateral_agreement"
    MULTILATERAL_AGREEMENT = "multilateral_agreement"
    EU_2023_977 = "eu_2023_977"
    EUROPOL_REG = "europol_reg"
    PRUM2 = "prum2"
    JIT_FD = "jit_fd"
    LED_DOMESTIC = "led_domestic"
    NATIONAL_LAW = "national_law"
    EMERGENCY_IMMINENT_DANGER = "emergency_imminent_danger"


class SourceGrade(StrEnum):
    """Reliability of a source, first half of the 4x4 evaluation."""

    A = "A"
    B = "B"
    C = "C"
    X = "X"


class InformationGrade(StrEnum):
    """Reliability of a piece of information, second half of the 4x4 evaluation; X4 is the default."""

    ONE = "1"
    TWO = "2"
    THREE = "3"
    FOUR = "4"


class RefusalGround(StrEnum):
    """Why a request is not answered, as the requester may see it."""

    NOT_AVAILABLE = "not_available"
    REQUEST_INCOMPLETE = "request_incomplete"
    DATA_CATEGORY_NOT_PERMITTED = "data_category_not_permitted"
    NATIONAL_SECURITY = "national_security"
    JEOPARDISE_INVESTIGATION_OR_SAFETY = "jeopardise_investigation_or_safety"
    THIRD_PARTY_CONSENT_MISSING = "third_party_consent_missing"
    VICTIM_SAFETY = "victim_safety"
    DISPROPORTIONATE = "disproportionate"
    CANNOT_RESPOND = "cannot_respond"


class ReceiptStatus(StrEnum):
    """What a recipient says became of a message."""

    DELIVERED = "delivered"
    OPENED = "opened"
    REJECTED = "rejected"


class Act(StrEnum):
    """An operation in a node's ledger (LED art. 25: collect, alter, consult, disclose, combine, erase)."""

    COLLECT = "collect"
    ALTER = "alter"
    CONSULT = "consult"
    DISCLOSE = "disclose"
    COMBINE = "combine"
    ERASE = "erase"
    RECEIVE = "receive"
    OPEN = "open"
    EXPORT = "export"
    ATTEMPT_DENIED = "attempt_denied"
    LOG_QUERY = "log_query"


class Justification(StrEnum):
    """Coded half of why an officer looks or sends; a text of at least 20 characters goes with it."""

    CASE_ASSIGNED = "case_assigned"
    REQUEST_ANSWER = "request_answer"
    URGENT_DANGER = "urgent_danger"
    VICTIM_CARE = "victim_care"
    SUPERVISION = "supervision"
    TRAINING = "training"


class Onward(StrEnum):
    """Whether a recipient may pass a message on; ``rank`` grows with strictness."""

    WITHIN_PARTIES = "within_parties"
    BY_CONSENT = "by_consent"
    NONE = "none"

    @property
    def rank(self) -> int:
        """Strictness, 0 the most open."""
        return list(Onward).index(self)


# Terms used only inside the sealed content (`spec/content.md`); the broker never sees them.


class Assertion(StrEnum):
    """Whether a statement is a fact or somebody's assessment (LED art. 7)."""

    FACT = "fact"
    ASSESSMENT = "assessment"


class EntityKind(StrEnum):
    """What a content can describe; names are near those of UMF, conformance is not claimed."""

    PERSON = "person"
    ORGANISATION = "organisation"
    LOCATION = "location"
    TRANSPORT = "transport"
    DOCUMENT = "document"
    COMMUNICATION = "communication"
    ACCOUNT = "account"
    EVENT = "event"


class ProtectionFlag(StrEnum):
    """Promises made to a person that every reader has to keep."""

    ANONYMITY_GUARANTEED = "anonymity_guaranteed"
    PROTECTION_BY = "protection_by"
    NEW_IDENTITY = "new_identity"
    COURT_PARTICIPATION_POSSIBLE = "court_participation_possible"


class SpecialKind(StrEnum):
    """Special categories of personal data (LED art. 10)."""

    ETHNIC_ORIGIN = "ethnic_origin"
    POLITICAL_OPINION = "political_opinion"
    BELIEF = "belief"
    UNION_MEMBERSHIP = "union_membership"
    GENETIC = "genetic"
    BIOMETRIC_REFERENCE = "biometric_reference"
    HEALTH = "health"
    SEX_LIFE = "sex_life"


class ClaimStage(StrEnum):
    """How far a claim to international protection has come."""

    INTENDED = "intended"
    LODGED = "lodged"
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class CrossingStatus(StrEnum):
    """Whether somebody crossing on others' or no documents is perpetrator or victim (Trafficking Protocol art. 10)."""

    PERPETRATOR = "perpetrator"
    VICTIM = "victim"
    UNDETERMINED = "undetermined"


class Exploitation(StrEnum):
    """The kind of exploitation a victim met, or was meant to meet."""

    LABOUR = "labour"
    SEXUAL = "sexual"
    SERVITUDE = "servitude"
    FORCED_BEGGING = "forced_begging"
    FORCED_CRIMINALITY = "forced_criminality"
    FORCED_MARRIAGE = "forced_marriage"
    ORGAN_REMOVAL = "organ_removal"
    OTHER = "other"
    UNKNOWN = "unknown"


class ControlMethod(StrEnum):
    """How a victim is, or was, recruited and kept."""

    DEBT = "debt"
    EARNINGS_TAKEN = "earnings_taken"
    THREATS = "threats"
    THREAT_OF_AUTHORITIES = "threat_of_authorities"
    PSYCHOLOGICAL_ABUSE = "psychological_abuse"
    PHYSICAL_ABUSE = "physical_abuse"
    SEXUAL_ABUSE = "sexual_abuse"
    FALSE_PROMISES = "false_promises"
    SUBSTANCES = "substances"
    MOVEMENT_RESTRICTED = "movement_restricted"
    CARE_RESTRICTED = "care_restricted"
    WORKING_HOURS = "working_hours"
    USE_OF_CHILDREN = "use_of_children"
    NECESSITIES_WITHHELD = "necessities_withheld"
    DOCUMENTS_WITHHELD = "documents_withheld"
    OTHER = "other"


class OrganisationKind(StrEnum):
    """What an organisation is."""

    CRIMINAL_GROUP = "criminal_group"
    COMPANY = "company"
    AUTHORITY = "authority"
    CHARITY = "charity"
    OTHER = "other"


class LocationKind(StrEnum):
    """What a place is to the case."""

    PORT = "port"
    AIRPORT = "airport"
    BORDER_CROSSING = "border_crossing"
    LANDING_SITE = "landing_site"
    SAFE_HOUSE = "safe_house"
    ADDRESS = "address"
    AREA = "area"
    OTHER = "other"


class TransportKind(StrEnum):
    """A means of transport."""

    CAR = "car"
    VAN = "van"
    LORRY = "lorry"
    BUS = "bus"
    BOAT = "boat"
    SHIP = "ship"
    AIRCRAFT = "aircraft"
    TRAIN = "train"
    CONTAINER = "container"
    OTHER = "other"


class DocumentKind(StrEnum):
    """A document that identifies somebody or lets them travel."""

    PASSPORT = "passport"
    IDENTITY_CARD = "identity_card"
    RESIDENCE_PERMIT = "residence_permit"
    VISA = "visa"
    DRIVING_LICENCE = "driving_licence"
    SEAMAN_BOOK = "seaman_book"
    BIRTH_CERTIFICATE = "birth_certificate"
    OTHER = "other"


class DocumentCondition(StrEnum):
    """What is known about a document's authenticity."""

    UNKNOWN = "unknown"
    GENUINE = "genuine"
    ALTERED = "altered"
    FORGED = "forged"
    STOLEN_BLANK = "stolen_blank"
    USED_BY_ANOTHER = "used_by_another"


class CommunicationKind(StrEnum):
    """A means of communication."""

    PHONE = "phone"
    EMAIL = "email"
    HANDLE = "handle"
    DEVICE = "device"
    IP = "ip"
    URL = "url"


class AccountKind(StrEnum):
    """Where money lies or moves."""

    BANK = "bank"
    PAYMENT_CARD = "payment_card"
    MOBILE_MONEY = "mobile_money"
    VIRTUAL_ASSET = "virtual_asset"
    CASH_SERVICE = "cash_service"
    OTHER = "other"


class EventKind(StrEnum):
    """Something that happened, or is expected to."""

    OFFENCE = "offence"
    BORDER_CROSSING = "border_crossing"
    EMBARKATION = "embarkation"
    LANDING = "landing"
    INTERCEPTION = "interception"
    RESCUE = "rescue"
    PAYMENT = "payment"
    MEETING = "meeting"
    CHECK = "check"
    OTHER = "other"


class Relation(StrEnum):
    """How one entity stands to another, read ``from`` - relation - ``to``."""

    ASSOCIATE_OF = "associate_of"
    FAMILY_OF = "family_of"
    MEMBER_OF = "member_of"
    LEADS = "leads"
    RECRUITS = "recruits"
    EXPLOITS = "exploits"
    FACILITATES = "facilitates"
    OWNS = "owns"
    USES = "uses"
    ISSUED_TO = "issued_to"
    PAYS = "pays"
    CONTACTS = "contacts"
    LOCATED_AT = "located_at"
    PARTICIPATES_IN = "participates_in"
    ROUTE_TO = "route_to"
    DEPARTS_FROM = "departs_from"
    ARRIVES_AT = "arrives_at"
    CARRIED_BY = "carried_by"
    OCCURRED_AT = "occurred_at"


class UrgencyReason(StrEnum):
    """Why a request is urgent (Directive (EU) 2023/977 art. 2)."""

    THREAT_TO_SECURITY = "threat_to_security"
    DANGER_TO_LIFE = "danger_to_life"
    LIBERTY_DECISION = "liberty_decision"
    LOSS_OF_INFORMATION = "loss_of_information"


class ContactRole(StrEnum):
    """Whom to answer: a desk, never a person."""

    SPOC = "spoc"
    DUTY_DESK = "duty_desk"
    SMUGGLING_DESK = "smuggling_desk"
    TRAFFICKING_DESK = "trafficking_desk"
    FINANCIAL_DESK = "financial_desk"
    BORDER_DESK = "border_desk"
    VICTIM_DESK = "victim_desk"
    INTAKE_DESK = "intake_desk"
    EVIDENCE_DESK = "evidence_desk"
    EXERCISE_DESK = "exercise_desk"


class AlertAction(StrEnum):
    """What an alert asked for and what was done about it."""

    EXECUTED = "executed"
    CANNOT_EXECUTE = "cannot_execute"
    FLAGGED = "flagged"


class Need(StrEnum):
    """What a referred victim needs first."""

    SHELTER = "shelter"
    MEDICAL = "medical"
    LEGAL = "legal"
    INTERPRETER = "interpreter"
    GUARDIAN = "guardian"
    SAFETY_PLAN = "safety_plan"
    FAMILY_TRACING = "family_tracing"


class Consent(StrEnum):
    """Who agreed that a victim's data be passed to a victim-support organisation."""

    GIVEN = "given"
    GIVEN_BY_GUARDIAN = "given_by_guardian"
    VITAL_INTEREST = "vital_interest"


class DangerLevel(StrEnum):
    """How soon a safety notice asks to act."""

    ADVICE = "advice"
    WARNING = "warning"
    IMMEDIATE = "immediate"
