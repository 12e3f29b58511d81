// The code lists that manifests and entries use: spec/vocabulary.md, and AGR-33 for the decisions.

export const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const words = (text) => text.trim().split(/\s+/);

export const TYPE = words(`info_request info_reply info_partial info_refusal clarification_request clarification
  spontaneous_info hit_report victim_referral safety_notice evidence_transfer exculpatory_notice exercise_inject`);
export const PURPOSE = words(`prevent detect investigate prosecute execute_penalty cross_check strategic_analysis
  operational_analysis locate_person missing_person victim_protection border_check asset_tracing training_exercise
  immigration_enforcement asylum_assessment`);
export const CRIME = words(`immigrant_smuggling human_trafficking money_laundering organised_crime forged_documents
  sexual_exploitation terrorism corruption`);
export const CLASS = words("unclassified restricted confidential secret");
export const HANDLING = words("H0 H1 H2 H3");
export const URGENCY = words("u_direct u_indirect normal none");
export const CATEGORY = words(`smug_a_routes smug_b_groups smug_c_documents smug_d_concealment smug_e_legislative
  smug_f_technical traf_a_status traf_b_documents traf_c_methods person_suspect person_potential_offender
  person_witness person_victim person_contact person_associate person_informant person_missing person_unknown
  data_minor data_financial data_communications data_transport data_identification data_criminal_conduct
  data_special_category data_victimisation data_protection_claim data_attachment data_sealed_identity`);
export const RECEIPT = words("delivered opened rejected");
export const ROLE = words("police border_guard fiu prosecutor hub ngo oversight");
export const ONWARD = words("within_parties by_consent by_field none");
export const BASIS = words(`untoc_18 untoc_19 untoc_27 smuggling_prot_10 trafficking_prot_10 bilateral_agreement
  multilateral_agreement eu_2023_977 europol_reg prum2 jit_fd led_domestic national_law emergency_imminent_danger`);
export const KIND = words(`police_cooperation task_force joint_investigation_team fiu_exchange victim_referral hub
  exercise`);

export const TRANSFER = words("adequacy safeguards derogation");
export const EXEMPT = words("sensitive_case source_protection imminent_danger");
export const ACT = words(`ask consent decline withdraw acknowledge restrict rectify recall answer keep erased`);
export const AFTER = words(`inaccurate unlawful purpose_ended victim_safety source_protection court_order sent_in_error`);
export const RETAIN = words(`legal_obligation judicial_proceedings evidence_hold data_subject_interest case_open`);
export const REFUSAL = words(`not_available request_incomplete judicial_authorisation_refused data_category_not_permitted
  inaccurate_or_outdated national_security jeopardise_investigation_or_safety harm_legal_person_interest minor_offence
  not_an_offence_here third_party_consent_missing purpose_incompatible handling_restriction victim_safety
  asylum_confidentiality disproportionate clearance_insufficient training_missing cannot_respond`);

/** AGR-33, in the order of AGR-35. */
export const DENIALS = words(`forbidden agreement_unknown agreement_not_in_force agreement_expired
  agreement_superseded agreement_suspended not_a_party above_ceiling no_clause source_unknown source_stopped onward_forbidden
  consent_missing`);

export const LEDGER_ACT = words(`collect alter consult disclose combine erase receive open export attempt_denied log_query
  consent recall recall_ack key_release review`);
