CREATE TABLE access_classes (
    seq bigint DEFAULT nextval('access_classes_seq_seq'::regclass) NOT NULL,
    base bigint NOT NULL,
    access text NOT NULL
);

CREATE TABLE alembic_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE attempts (
    subject text NOT NULL,
    failures bigint NOT NULL,
    at double precision NOT NULL
);

CREATE TABLE audit (
    sequence bigint NOT NULL,
    at double precision NOT NULL,
    principal text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    details text NOT NULL,
    previous text NOT NULL,
    hash text NOT NULL
);

CREATE TABLE cache_shadows (
    id text NOT NULL,
    route text NOT NULL,
    embedder text NOT NULL,
    similarity double precision NOT NULL,
    same integer NOT NULL,
    at double precision NOT NULL
);

CREATE TABLE chunk_words (
    chunk bigint NOT NULL,
    base bigint NOT NULL,
    length bigint NOT NULL,
    words tsvector NOT NULL
);

CREATE TABLE chunks (
    seq bigint DEFAULT nextval('chunks_seq_seq'::regclass) NOT NULL,
    base bigint NOT NULL,
    id text NOT NULL,
    document text NOT NULL,
    ordinal integer NOT NULL,
    start bigint NOT NULL,
    end bigint NOT NULL,
    page integer,
    heading text NOT NULL,
    text text NOT NULL,
    revision bigint NOT NULL,
    access bigint DEFAULT '0'::bigint NOT NULL,
    place text DEFAULT ''::text NOT NULL,
    line integer,
    context text DEFAULT ''::text NOT NULL
);

CREATE TABLE contents (
    trace text NOT NULL,
    at double precision NOT NULL,
    request text NOT NULL,
    answer text NOT NULL
);

CREATE TABLE data_keys (
    id text NOT NULL,
    purpose text NOT NULL,
    master text NOT NULL,
    wrapped text NOT NULL,
    whole boolean NOT NULL,
    created_at double precision NOT NULL,
    retired_at double precision
);

CREATE TABLE deletions (
    base bigint NOT NULL,
    source_sha256 text NOT NULL,
    revision bigint NOT NULL,
    at double precision NOT NULL
);

CREATE TABLE document_versions (
    document text NOT NULL,
    version integer NOT NULL,
    sha256 text NOT NULL,
    text_sha256 text NOT NULL,
    title text NOT NULL,
    pages jsonb NOT NULL,
    created_at double precision NOT NULL
);

CREATE TABLE documents (
    id text NOT NULL,
    base bigint NOT NULL,
    source text NOT NULL,
    version integer NOT NULL,
    sha256 text NOT NULL,
    text_sha256 text,
    title text NOT NULL,
    mime text NOT NULL,
    size bigint NOT NULL,
    pages jsonb NOT NULL,
    status text NOT NULL,
    error text,
    chunks integer NOT NULL,
    created_at double precision NOT NULL,
    updated_at double precision NOT NULL,
    file text,
    origin text NOT NULL,
    access bigint DEFAULT '0'::bigint NOT NULL,
    attributes jsonb DEFAULT '{}'::jsonb NOT NULL,
    container text,
    stamp text DEFAULT ''::text NOT NULL,
    near text,
    words bigint DEFAULT '0'::bigint NOT NULL
);

CREATE TABLE evaluations (
    id text NOT NULL,
    base bigint NOT NULL,
    version integer NOT NULL,
    revision bigint NOT NULL,
    questions text NOT NULL,
    created_at double precision NOT NULL,
    figures jsonb NOT NULL,
    details jsonb NOT NULL
);

CREATE TABLE feedback (
    id text NOT NULL,
    trace text NOT NULL,
    principal text NOT NULL,
    rating integer NOT NULL,
    comment text NOT NULL,
    created_at double precision NOT NULL
);

CREATE TABLE files (
    id text NOT NULL,
    name text NOT NULL,
    size bigint NOT NULL,
    sha256 text NOT NULL,
    purpose text NOT NULL,
    principal text NOT NULL,
    created_at double precision NOT NULL,
    expires_at double precision
);

CREATE TABLE groups (
    id text NOT NULL,
    name text NOT NULL,
    labels jsonb NOT NULL,
    created_at double precision NOT NULL
);

CREATE TABLE guard_events (
    id text NOT NULL,
    at double precision NOT NULL,
    trace text NOT NULL,
    principal text NOT NULL,
    key text,
    door text NOT NULL,
    origin text NOT NULL,
    place text NOT NULL,
    model text NOT NULL,
    base text,
    guard text NOT NULL,
    category text NOT NULL,
    score double precision NOT NULL,
    decision text NOT NULL,
    action text NOT NULL,
    start bigint NOT NULL,
    end bigint NOT NULL,
    digest text NOT NULL,
    policy text NOT NULL,
    reason text NOT NULL
);

CREATE TABLE job_items (
    job text NOT NULL,
    key text NOT NULL,
    state text NOT NULL,
    message text NOT NULL,
    updated_at double precision NOT NULL
);

CREATE TABLE jobs (
    id text NOT NULL,
    kind text NOT NULL,
    arguments jsonb NOT NULL,
    state text NOT NULL,
    created_at double precision NOT NULL,
    updated_at double precision NOT NULL,
    total bigint DEFAULT '0'::bigint NOT NULL,
    done bigint DEFAULT '0'::bigint NOT NULL,
    failed bigint DEFAULT '0'::bigint NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    max_attempts integer NOT NULL,
    lease_owner text,
    lease_until double precision,
    message text NOT NULL,
    result jsonb NOT NULL
);

CREATE TABLE keys (
    id text NOT NULL,
    principal text NOT NULL,
    name text NOT NULL,
    hint text NOT NULL,
    hash text NOT NULL,
    created_at double precision NOT NULL,
    expires_at double precision,
    revoked_at double precision,
    scopes jsonb DEFAULT '{}'::jsonb NOT NULL,
    limits jsonb DEFAULT '{}'::jsonb NOT NULL,
    record_content boolean DEFAULT false NOT NULL,
    replaced_by text
);

CREATE TABLE knowledge_bases (
    seq bigint DEFAULT nextval('knowledge_bases_seq_seq'::regclass) NOT NULL,
    id text NOT NULL,
    name text NOT NULL,
    embedder text NOT NULL,
    dimension integer NOT NULL,
    created_at double precision NOT NULL,
    revision bigint DEFAULT '0'::bigint NOT NULL,
    documents bigint DEFAULT '0'::bigint NOT NULL,
    chunks bigint DEFAULT '0'::bigint NOT NULL,
    words bigint DEFAULT '0'::bigint NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    expires_after integer,
    last_active_at double precision,
    version integer DEFAULT 0 NOT NULL,
    rules jsonb DEFAULT '[]'::jsonb NOT NULL
);

CREATE TABLE knowledge_versions (
    base bigint NOT NULL,
    version integer NOT NULL,
    settings jsonb NOT NULL,
    figures jsonb NOT NULL,
    note text NOT NULL,
    created_at double precision NOT NULL
);

CREATE TABLE links (
    hash text NOT NULL,
    principal text NOT NULL,
    created_at double precision NOT NULL,
    expires_at double precision NOT NULL,
    used_at double precision
);

CREATE TABLE memberships (
    group text NOT NULL,
    principal text NOT NULL
);

CREATE TABLE pictures (
    document text NOT NULL,
    version integer NOT NULL,
    ordinal integer NOT NULL,
    sha256 text NOT NULL,
    mime text NOT NULL,
    start bigint NOT NULL,
    alt text NOT NULL
);

CREATE TABLE principals (
    id text NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    created_at double precision NOT NULL,
    team text
);

CREATE TABLE pseudonyms (
    vault text NOT NULL,
    pseudonym text NOT NULL,
    principal text NOT NULL,
    value text NOT NULL,
    at double precision NOT NULL,
    used_at double precision NOT NULL
);

CREATE TABLE questions (
    id text NOT NULL,
    base bigint NOT NULL,
    text text NOT NULL,
    relevant jsonb NOT NULL,
    answer text NOT NULL,
    origin text NOT NULL
);

CREATE TABLE requests (
    trace text NOT NULL,
    at double precision NOT NULL,
    door text NOT NULL,
    principal text NOT NULL,
    model text NOT NULL,
    status text NOT NULL,
    prompt_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    seconds double precision NOT NULL,
    first_token double precision,
    cost double precision NOT NULL,
    written_tokens bigint DEFAULT '0'::bigint NOT NULL,
    reasoning_tokens bigint DEFAULT '0'::bigint NOT NULL,
    duration double precision DEFAULT '0'::double precision NOT NULL,
    key text,
    team text,
    target text DEFAULT ''::text NOT NULL,
    cache text DEFAULT ''::text NOT NULL,
    saved double precision DEFAULT '0'::double precision NOT NULL
);

CREATE TABLE responses (
    id text NOT NULL,
    principal text NOT NULL,
    previous text,
    created_at double precision NOT NULL,
    expires_at double precision NOT NULL,
    body jsonb NOT NULL,
    items jsonb NOT NULL
);

CREATE TABLE sessions (
    hash text NOT NULL,
    principal text NOT NULL,
    created_at double precision NOT NULL,
    expires_at double precision NOT NULL,
    revoked_at double precision,
    seen_at double precision,
    way text DEFAULT 'link'::text NOT NULL,
    agent text DEFAULT ''::text NOT NULL,
    address text DEFAULT ''::text NOT NULL
);

CREATE TABLE signature_bands (
    base bigint NOT NULL,
    band bigint NOT NULL,
    signature bigint NOT NULL
);

CREATE TABLE signatures (
    seq bigint DEFAULT nextval('signatures_seq_seq'::regclass) NOT NULL,
    base bigint NOT NULL,
    document text NOT NULL,
    data bytea NOT NULL
);

CREATE TABLE sync_sources (
    base bigint NOT NULL,
    origin text NOT NULL,
    created_at double precision NOT NULL,
    every double precision,
    synced_at double precision,
    state text NOT NULL,
    job text,
    principal text,
    prefix text DEFAULT ''::text NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    error text DEFAULT ''::text NOT NULL
);

CREATE TABLE teams (
    id text NOT NULL,
    name text NOT NULL,
    limits jsonb NOT NULL,
    created_at double precision NOT NULL
);

CREATE TABLE traces (
    trace text NOT NULL,
    at double precision NOT NULL,
    spans text NOT NULL
);

CREATE TABLE users (
    principal text NOT NULL,
    password text,
    issuer text,
    subject text,
    created_at double precision NOT NULL,
    changed_at double precision,
    disabled_at double precision
);

CREATE TABLE vectors (
    chunk bigint NOT NULL,
    data bytea NOT NULL
);

ALTER TABLE access_classes ADD CONSTRAINT pk_access_classes PRIMARY KEY (seq);

ALTER TABLE alembic_version ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);

ALTER TABLE attempts ADD CONSTRAINT pk_attempts PRIMARY KEY (subject);

ALTER TABLE audit ADD CONSTRAINT pk_audit PRIMARY KEY (sequence);

ALTER TABLE cache_shadows ADD CONSTRAINT pk_cache_shadows PRIMARY KEY (id);

ALTER TABLE chunk_words ADD CONSTRAINT pk_chunk_words PRIMARY KEY (chunk);

ALTER TABLE chunks ADD CONSTRAINT pk_chunks PRIMARY KEY (seq);

ALTER TABLE contents ADD CONSTRAINT pk_contents PRIMARY KEY (trace);

ALTER TABLE data_keys ADD CONSTRAINT pk_data_keys PRIMARY KEY (id);

ALTER TABLE deletions ADD CONSTRAINT pk_deletions PRIMARY KEY (base, source_sha256);

ALTER TABLE document_versions ADD CONSTRAINT pk_document_versions PRIMARY KEY (document, version);

ALTER TABLE documents ADD CONSTRAINT pk_documents PRIMARY KEY (id);

ALTER TABLE evaluations ADD CONSTRAINT pk_evaluations PRIMARY KEY (id);

ALTER TABLE feedback ADD CONSTRAINT pk_feedback PRIMARY KEY (id);

ALTER TABLE files ADD CONSTRAINT pk_files PRIMARY KEY (id);

ALTER TABLE groups ADD CONSTRAINT pk_groups PRIMARY KEY (id);

ALTER TABLE guard_events ADD CONSTRAINT pk_guard_events PRIMARY KEY (id);

ALTER TABLE job_items ADD CONSTRAINT pk_job_items PRIMARY KEY (job, key);

ALTER TABLE jobs ADD CONSTRAINT pk_jobs PRIMARY KEY (id);

ALTER TABLE keys ADD CONSTRAINT pk_keys PRIMARY KEY (id);

ALTER TABLE knowledge_bases ADD CONSTRAINT pk_knowledge_bases PRIMARY KEY (seq);

ALTER TABLE knowledge_versions ADD CONSTRAINT pk_knowledge_versions PRIMARY KEY (base, version);

ALTER TABLE links ADD CONSTRAINT pk_links PRIMARY KEY (hash);

ALTER TABLE memberships ADD CONSTRAINT pk_memberships PRIMARY KEY ("group", principal);

ALTER TABLE pictures ADD CONSTRAINT pk_pictures PRIMARY KEY (document, version, ordinal);

ALTER TABLE principals ADD CONSTRAINT pk_principals PRIMARY KEY (id);

ALTER TABLE pseudonyms ADD CONSTRAINT pk_pseudonyms PRIMARY KEY (vault, pseudonym);

ALTER TABLE questions ADD CONSTRAINT pk_questions PRIMARY KEY (id);

ALTER TABLE requests ADD CONSTRAINT pk_requests PRIMARY KEY (trace);

ALTER TABLE responses ADD CONSTRAINT pk_responses PRIMARY KEY (id);

ALTER TABLE sessions ADD CONSTRAINT pk_sessions PRIMARY KEY (hash);

ALTER TABLE signature_bands ADD CONSTRAINT pk_signature_bands PRIMARY KEY (base, band, signature);

ALTER TABLE signatures ADD CONSTRAINT pk_signatures PRIMARY KEY (seq);

ALTER TABLE sync_sources ADD CONSTRAINT pk_sync_sources PRIMARY KEY (base, origin);

ALTER TABLE teams ADD CONSTRAINT pk_teams PRIMARY KEY (id);

ALTER TABLE traces ADD CONSTRAINT pk_traces PRIMARY KEY (trace);

ALTER TABLE users ADD CONSTRAINT pk_users PRIMARY KEY (principal);

ALTER TABLE vectors ADD CONSTRAINT pk_vectors PRIMARY KEY (chunk);

ALTER TABLE access_classes ADD CONSTRAINT uq_access_classes_base_access UNIQUE (base, access);

ALTER TABLE audit ADD CONSTRAINT uq_audit_hash UNIQUE (hash);

ALTER TABLE chunks ADD CONSTRAINT uq_chunks_base_id UNIQUE (base, id);

ALTER TABLE chunks ADD CONSTRAINT uq_chunks_document_ordinal UNIQUE (document, ordinal);

ALTER TABLE documents ADD CONSTRAINT uq_documents_base_source UNIQUE (base, source);

ALTER TABLE feedback ADD CONSTRAINT uq_feedback_trace_principal UNIQUE (trace, principal);

ALTER TABLE groups ADD CONSTRAINT uq_groups_name UNIQUE (name);

ALTER TABLE keys ADD CONSTRAINT uq_keys_hash UNIQUE (hash);

ALTER TABLE knowledge_bases ADD CONSTRAINT uq_knowledge_bases_id UNIQUE (id);

ALTER TABLE knowledge_bases ADD CONSTRAINT uq_knowledge_bases_name UNIQUE (name);

ALTER TABLE principals ADD CONSTRAINT uq_principals_name UNIQUE (name);

ALTER TABLE signatures ADD CONSTRAINT uq_signatures_document UNIQUE (document);

ALTER TABLE teams ADD CONSTRAINT uq_teams_name UNIQUE (name);

ALTER TABLE users ADD CONSTRAINT uq_users_issuer_subject UNIQUE (issuer, subject);

ALTER TABLE access_classes ADD CONSTRAINT fk_access_classes_base FOREIGN KEY (base) REFERENCES knowledge_bases(seq);

ALTER TABLE chunk_words ADD CONSTRAINT fk_chunk_words_chunk FOREIGN KEY (chunk) REFERENCES chunks(seq);

ALTER TABLE chunks ADD CONSTRAINT fk_chunks_base FOREIGN KEY (base) REFERENCES knowledge_bases(seq);

ALTER TABLE chunks ADD CONSTRAINT fk_chunks_document FOREIGN KEY (document) REFERENCES documents(id);

ALTER TABLE deletions ADD CONSTRAINT fk_deletions_base FOREIGN KEY (base) REFERENCES knowledge_bases(seq);

ALTER TABLE document_versions ADD CONSTRAINT fk_document_versions_document FOREIGN KEY (document) REFERENCES documents(id) ON DELETE CASCADE;

ALTER TABLE documents ADD CONSTRAINT fk_documents_base FOREIGN KEY (base) REFERENCES knowledge_bases(seq);

ALTER TABLE evaluations ADD CONSTRAINT fk_evaluations_base FOREIGN KEY (base) REFERENCES knowledge_bases(seq);

ALTER TABLE feedback ADD CONSTRAINT ck_feedback_rating CHECK ((rating = ANY (ARRAY['-1'::integer, 1])));

ALTER TABLE job_items ADD CONSTRAINT fk_job_items_job FOREIGN KEY (job) REFERENCES jobs(id) ON DELETE CASCADE;

ALTER TABLE keys ADD CONSTRAINT fk_keys_principal FOREIGN KEY (principal) REFERENCES principals(id) ON DELETE CASCADE;

ALTER TABLE knowledge_versions ADD CONSTRAINT fk_knowledge_versions_base FOREIGN KEY (base) REFERENCES knowledge_bases(seq);

ALTER TABLE links ADD CONSTRAINT fk_links_principal FOREIGN KEY (principal) REFERENCES principals(id) ON DELETE CASCADE;

ALTER TABLE memberships ADD CONSTRAINT fk_memberships_group FOREIGN KEY ("group") REFERENCES groups(id) ON DELETE CASCADE;

ALTER TABLE memberships ADD CONSTRAINT fk_memberships_principal FOREIGN KEY (principal) REFERENCES principals(id) ON DELETE CASCADE;

ALTER TABLE pictures ADD CONSTRAINT fk_pictures_document FOREIGN KEY (document) REFERENCES documents(id) ON DELETE CASCADE;

ALTER TABLE principals ADD CONSTRAINT fk_principals_team FOREIGN KEY (team) REFERENCES teams(id);

ALTER TABLE questions ADD CONSTRAINT fk_questions_base FOREIGN KEY (base) REFERENCES knowledge_bases(seq);

ALTER TABLE sessions ADD CONSTRAINT fk_sessions_principal FOREIGN KEY (principal) REFERENCES principals(id) ON DELETE CASCADE;

ALTER TABLE signature_bands ADD CONSTRAINT fk_signature_bands_base FOREIGN KEY (base) REFERENCES knowledge_bases(seq);

ALTER TABLE signatures ADD CONSTRAINT fk_signatures_base FOREIGN KEY (base) REFERENCES knowledge_bases(seq);

ALTER TABLE signatures ADD CONSTRAINT fk_signatures_document FOREIGN KEY (document) REFERENCES documents(id);

ALTER TABLE sync_sources ADD CONSTRAINT fk_sync_sources_base FOREIGN KEY (base) REFERENCES knowledge_bases(seq);

ALTER TABLE users ADD CONSTRAINT fk_users_principal FOREIGN KEY (principal) REFERENCES principals(id) ON DELETE CASCADE;

ALTER TABLE vectors ADD CONSTRAINT fk_vectors_chunk FOREIGN KEY (chunk) REFERENCES chunks(seq) ON DELETE CASCADE;

CREATE INDEX ix_attempts_at ON attempts USING btree (at);

CREATE INDEX ix_audit_action ON audit USING btree (action);

CREATE INDEX ix_cache_shadows_route_embedder ON cache_shadows USING btree (route, embedder);

CREATE INDEX ix_chunk_words_base ON chunk_words USING btree (base);

CREATE INDEX ix_chunk_words_words ON chunk_words USING gin (words) WITH (fastupdate=off);

CREATE INDEX ix_chunks_base_access ON chunks USING btree (base, access);

CREATE INDEX ix_chunks_base_revision ON chunks USING btree (base, revision);

CREATE INDEX ix_contents_at ON contents USING btree (at);

CREATE INDEX ix_document_versions_text_sha256 ON document_versions USING btree (text_sha256);

CREATE INDEX ix_documents_base_access ON documents USING btree (base, access);

CREATE INDEX ix_documents_base_container ON documents USING btree (base, container);

CREATE INDEX ix_documents_base_near ON documents USING btree (base, near);

CREATE INDEX ix_documents_text_sha256 ON documents USING btree (text_sha256);

CREATE INDEX ix_evaluations_base ON evaluations USING btree (base);

CREATE INDEX ix_feedback_created_at ON feedback USING btree (created_at);

CREATE INDEX ix_files_sha256 ON files USING btree (sha256);

CREATE INDEX ix_guard_events_at ON guard_events USING btree (at, id);

CREATE INDEX ix_guard_events_trace ON guard_events USING btree (trace);

CREATE INDEX ix_jobs_state_created_at ON jobs USING btree (state, created_at);

CREATE INDEX ix_keys_principal ON keys USING btree (principal);

CREATE INDEX ix_links_principal ON links USING btree (principal);

CREATE INDEX ix_memberships_principal ON memberships USING btree (principal);

CREATE INDEX ix_pictures_sha256 ON pictures USING btree (sha256);

CREATE INDEX ix_pseudonyms_principal ON pseudonyms USING btree (principal);

CREATE INDEX ix_pseudonyms_used_at ON pseudonyms USING btree (used_at);

CREATE INDEX ix_questions_base ON questions USING btree (base);

CREATE INDEX ix_requests_at ON requests USING btree (at);

CREATE INDEX ix_requests_principal_at ON requests USING btree (principal, at);

CREATE INDEX ix_responses_expires_at ON responses USING btree (expires_at);

CREATE INDEX ix_sessions_principal ON sessions USING btree (principal);

CREATE INDEX ix_signatures_base ON signatures USING btree (base);

CREATE INDEX ix_traces_at ON traces USING btree (at);

CREATE OR REPLACE FUNCTION audit_append_only()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $function$;

CREATE TRIGGER audit_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();

CREATE TEXT SEARCH DICTIONARY athanor_porter (TEMPLATE = snowball, language = 'porter');

CREATE TEXT SEARCH CONFIGURATION athanor WITH asciihword = athanor_porter, asciiword = athanor_porter, email = athanor_porter, file = athanor_porter, float = athanor_porter, host = athanor_porter, hword = athanor_porter, hword_asciipart = athanor_porter, hword_numpart = athanor_porter, hword_part = athanor_porter, int = athanor_porter, numhword = athanor_porter, numword = athanor_porter, protocol = athanor_porter, sfloat = athanor_porter, uint = athanor_porter, url = athanor_porter, url_path = athanor_porter, version = athanor_porter, word = athanor_porter;
