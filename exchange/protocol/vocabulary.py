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
    EXCULPATORY_NOTICE = "exculpatory_notice"
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
    IMMIGRATION_ENFORCEMENT = "immigration_enforcement"
    ASYLUM_ASSESSMENT = "asylum_assessment"


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
    DATA_SEALED_IDENTITY = "data_sealed_identity"
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
    JUDICIAL_AUTHORISATION_REFUSED = "judicial_authorisation_refused"
    DATA_CATEGORY_NOT_PERMITTED = "data_category_not_permitted"
    INACCURATE_OR_OUTDATED = "inaccurate_or_outdated"
    NATIONAL_SECURITY = "national_security"
    JEOPARDISE_INVESTIGATION_OR_SAFETY = "jeopardise_investigation_or_safety"
    HARM_LEGAL_PERSON_INTEREST = "harm_legal_person_interest"
    MINOR_OFFENCE = "minor_offence"
    NOT_AN_OFFENCE_HERE = "not_an_offence_here"
    THIRD_PARTY_CONSENT_MISSING = "third_party_consent_missing"
    PURPOSE_INCOMPATIBLE = "purpose_incompatible"
    HANDLING_RESTRICTION = "handling_restriction"
    VICTIM_SAFETY = "victim_safety"
    ASYLUM_CONFIDENTIALITY = "asylum_confidentiality"
    DISPROPORTIONATE = "disproportionate"
    CLEARANCE_INSUFFICIENT = "clearance_insufficient"
    TRAINING_MISSING = "training_missing"
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
    CONSENT = "consent"
    RECALL = "recall"
    RECALL_ACK = "recall_ack"
    KEY_RELEASE = "key_release"
    REVIEW = "review"


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
    BY_FIELD = "by_field"
    NONE = "none"

    @property
    def rank(self) -> int:
        """Strictness, 0 the most open."""
        return list(Onward).index(self)


class TransferBasis(StrEnum):
    """On what a disclosure outside the agreement's territory rests (LED art. 36 to 38)."""

    ADEQUACY = "adequacy"
    SAFEGUARDS = "safeguards"
    DEROGATION = "derogation"


class CopyExemption(StrEnum):
    """Why a single point of contact gets no copy this once; every use is in the manifest and the log, and counted."""

    SENSITIVE_CASE = "sensitive_case"
    SOURCE_PROTECTION = "source_protection"
    IMMINENT_DANGER = "imminent_danger"


class Tlp(StrEnum):
    """Traffic Light Protocol 2.0 marks of partner communities: mapped to handling and onward rules, never mixed."""

    RED = "red"
    AMBER_STRICT = "amber_strict"
    AMBER = "amber"
    GREEN = "green"
    CLEAR = "clear"


class ActKind(StrEnum):
    """What an agency does about a message after it was disclosed: a signed, logged act (`spec/acts.md`)."""

    ASK = "ask"
    CONSENT = "consent"
    DECLINE = "decline"
    WITHDRAW = "withdraw"
    ACKNOWLEDGE = "acknowledge"
    RESTRICT = "restrict"
    RECTIFY = "rectify"
    RECALL = "recall"
    ANSWER = "answer"
    KEEP = "keep"
    ERASED = "erased"


class ConsentFor(StrEnum):
    """What a consent of the originator allows: passing on, another purpose, or use as evidence."""

    ONWARD = "onward"
    PURPOSE = "purpose"
    EVIDENCE = "evidence"


class AfterGround(StrEnum):
    """Why an originator restricts, rectifies or recalls what it disclosed."""

    INACCURATE = "inaccurate"
    UNLAWFUL = "unlawful"
    PURPOSE_ENDED = "purpose_ended"
    VICTIM_SAFETY = "victim_safety"
    SOURCE_PROTECTION = "source_protection"
    COURT_ORDER = "court_order"
    SENT_IN_ERROR = "sent_in_error"


class HolderAnswer(StrEnum):
    """What a holder says it did when an originator restricted, rectified or recalled."""

    ERASED = "erased"
    RESTRICTED = "restricted"
    RECTIFIED = "rectified"
    RETAINED = "retained"


class RetainGround(StrEnum):
    """Why a holder keeps what was recalled, or what its review date would erase (LED art. 16(3), art. 5)."""

    LEGAL_OBLIGATION = "legal_obligation"
    JUDICIAL_PROCEEDINGS = "judicial_proceedings"
    EVIDENCE_HOLD = "evidence_hold"
    DATA_SUBJECT_INTEREST = "data_subject_interest"
    CASE_OPEN = "case_open"


class Danger(StrEnum):
    """An imminent danger for which a node may show an officer what it would else refuse to show (NODE-160)."""

    DANGER_TO_LIFE = "danger_to_life"
    DANGER_TO_PHYSICAL_INTEGRITY = "danger_to_physical_integrity"
    CHILD_MISSING_AT_RISK = "child_missing_at_risk"


class LogPurpose(StrEnum):
    """What a ledger, or the log through a node, may be read for (LED art. 25(2); NODE-200)."""

    LAWFULNESS_CHECK = "lawfulness_check"
    SELF_MONITORING = "self_monitoring"
    INTEGRITY_SECURITY = "integrity_security"
    CRIMINAL_PROCEEDINGS = "criminal_proceedings"
