// The shapes of the API, known to every module. Written by tools/console_types.py.
interface Asset {
  /** 32 hex digits; for the home folder, the user's id. */
  id: string;
  user_id: string;
  workflow_id: string | null;
  /** A folder's id; the user's id is home. */
  parent_id: string;
  name: string;
  content_type: string;
  size: number;
  metadata: Record<string, any> | null;
  /** `made_at`, else the time of recording. */
  created_at: string;
  get_url: string | null;
  thumb_url: string | null;
  duration: number | null;
  node_id: string | null;
  job_id: string | null;
  etag: string;
  digest: string | null;
  version: number;
  /** The position of its last event. */
  position: number;
  /** UTC, 27 characters: sorts by time. */
  updated_at: string;
  tags: string[];
  derived_from: string[];
  /** Of its job, from 1; null without a job. */
  attempt: number | null;
  /** UTC, 27 characters: sorts by time. */
  deleted_at?: string;
  deleted_by?: string;
}
interface Job {
  job_id: string;
  user_id: string;
  workflow_id: string | null;
  parent_job_id: string | null;
  /** The number of its last attempt, from 1. */
  attempt: number;
  status: "untracked" | "running" | "stale" | "completed" | "failed" | "cancelled" | "lost";
  error: string | null;
  parameters: Record<string, any> | null;
  started_at: string | null;
  finished_at: string | null;
  assets: number;
  bytes: number;
  attempts: Attempt[];
  first_position: number;
  last_position: number;
  /** The time of its last event. */
  updated_at: string;
  /** On request: `thumb_url` of its newest pictures. */
  preview?: string[] | null;
}
interface Attempt {
  attempt: number;
  status: "untracked" | "running" | "stale" | "completed" | "failed" | "cancelled" | "lost";
  error: string | null;
  started_at: string | null;
  finished_at: string | null;
}
interface LedgerEvent {
  position: number;
  topic: string;
  /** UTC, 27 characters: sorts by time. */
  time: string;
  /** The machine's time if over a minute behind `time`, else null. */
  clock: string | null;
  by: string;
  asset_id: string | null;
  job_id: string | null;
  workflow_id: string | null;
  node_id: string | null;
  job_seq: number | null;
  attempt: number | null;
  late: boolean;
  version: number;
  data: Record<string, any>;
}
interface UsageRow {
  key: string | null;
  subkey?: string | null;
  count: number;
  bytes: number;
  largest: number;
  /** The earliest `created_at`. */
  first_seen: string | null;
  /** The latest `created_at`. */
  last_seen: string | null;
  runs: number;
  failed: number;
  /** The time that the runs took together. */
  seconds: number;
}
interface Session {
  auth: "local" | "tokens" | "jwt";
  user_id: string;
  /** If the caller acts for another user. */
  for_user: string | null;
  name: string | null;
  scopes: ("read" | "write" | "audit" | "admin")[];
  /** Of the session or the token. */
  expires_at: string | null;
  limits: { max_upload_bytes: number | null };
  version: string;
  /** The log's name in its checkpoints. */
  origin: string;
  /** Contents that are drawn or measured. */
  previews: string[];
}
interface Proof {
  format: "asset-ledger-proof/1";
  /** A C2SP signed note. */
  checkpoint: string;
  /** A C2SP verifier key: compare it with yours. */
  key: string;
  /** Proofs of the key's rotations. */
  rotations: ProofEvent[];
  events: ProofEvent[];
}
interface ProofEvent {
  position: number;
  leaf: string;
  path: string[];
}
interface Lineage {
  root: string;
  nodes: Asset[];
  edges: { from: string; to: string }[];
  truncated: boolean;
}
