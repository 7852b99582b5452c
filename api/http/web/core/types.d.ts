// The shapes of the API that the console reads, known to every module.
interface Asset {
  id: string;
  user_id: string;
  name: string;
  content_type: string;
  size: number;
  digest: string | null;
  metadata: Record<string, unknown> | null;
  tags: string[];
  derived_from: string[];
  workflow_id: string | null;
  node_id: string | null;
  job_id: string | null;
  parent_id: string | null;
  created_at: string;
  updated_at: string;
  duration: number | null;
  get_url: string | null;
  thumb_url: string | null;
  version: number;
  etag: string;
  position: number;
  attempt?: number | null;
  deleted_at?: string;
  deleted_by?: string;
}
interface Job {
  job_id: string;
  user_id: string;
  workflow_id: string | null;
  parent_job_id: string | null;
  status: string;
  error: string | null;
  parameters: Record<string, unknown> | null;
  started_at: string | null;
  finished_at: string | null;
  assets: number;
  bytes: number;
  first_position: number;
  last_position: number;
  attempt: number;
  attempts: Attempt[];
  preview?: string[];
}
interface Attempt {
  attempt: number;
  status: string;
  error: string | null;
  started_at: string | null;
  finished_at: string | null;
}
interface LedgerEvent {
  position: number;
  topic: string;
  time: string;
  by: string;
  asset_id: string | null;
  job_id: string | null;
  workflow_id: string | null;
  node_id: string | null;
  job_seq: number | null;
  version: number | null;
  attempt?: number | null;
  late?: boolean;
  data: Record<string, any>;
}
interface UsageRow {
  key: string | null;
  subkey?: string | null;
  count: number;
  bytes: number;
  largest: number;
  first_seen: string;
  last_seen: string;
  runs: number;
  failed: number;
  seconds: number;
}
interface Session {
  auth: "local" | "tokens" | "jwt";
  /** The owner of what is shown: `for_user`, or else `self`, the caller. */
  user_id: string;
  self: string;
  for_user: string | null;
  name: string | null;
  scopes: string[];
  expires_at: string | null;
  limits: { max_upload_bytes: number | null };
  version: string;
  origin: string;
  previews: string[];
}
interface Proof {
  format: string;
  checkpoint: string;
  key: string;
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
