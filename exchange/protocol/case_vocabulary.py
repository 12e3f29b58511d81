"""Code lists only contents use; the broker never sees them (VOC-1 and VOC-2, `spec/vocabulary.md`).

The lists that agreements, manifests and ledgers use are in ``vocabulary``.
"""

from __future__ import annotations

from enum import StrEnum


class Assertion(StrEnum):
    """Whether a statement is a fact, somebody's assessment, or drawn by combining others (LED art. 7)."""

    FACT = "fact"
    ASSESSMENT = "assessment"
    DERIVED = "derived"


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


class Exculpation(StrEnum):
    """What it is about some material that speaks for a person an originator suspects."""

    ALIBI = "alibi"
    OTHER_PERPETRATOR = "other_perpetrator"
    IDENTITY_DOUBT = "identity_doubt"
    SOURCE_UNRELIABLE = "source_unreliable"
    FACTS_CONTRADICTED = "facts_contradicted"
    MITIGATING = "mitigating"


class SealedFor(StrEnum):
    """The role at a recipient that alone can open a sealed part."""

    PROTECTION_OFFICER = "protection_officer"
