-- The system tables, with the names and columns of Directus 11.17, so that a database of Directus can be taken
-- over in place: there every statement here finds its object present and does nothing. Constraint and index
-- names are Directus's own (`<table>_<column>_foreign` ...), and tables stand in the order of their references.
-- Unqualified on purpose: they live where the search path says, beside the user's collections.

CREATE TABLE IF NOT EXISTS directus_roles (
    id          uuid         PRIMARY KEY,
    name        varchar(100) NOT NULL,
    icon        varchar(64)  NOT NULL DEFAULT 'supervised_user_circle',
    description text,
    parent      uuid         CONSTRAINT directus_roles_parent_foreign REFERENCES directus_roles
);

CREATE TABLE IF NOT EXISTS directus_users (
    id                    uuid         PRIMARY KEY,
    first_name            varchar(50),
    last_name             varchar(50),
    email                 varchar(128) CONSTRAINT directus_users_email_unique UNIQUE,
    password              varchar(255),
    location              varchar(255),
    title                 varchar(50),
    description           text,
    tags                  json,
    avatar                uuid,
    language              varchar(255),
    tfa_secret            varchar(255),
    status                varchar(16)  NOT NULL DEFAULT 'active',
    role                  uuid         CONSTRAINT directus_users_role_foreign
                                       REFERENCES directus_roles ON DELETE SET NULL,
    token                 varchar(255) CONSTRAINT directus_users_token_unique UNIQUE,
    last_access           timestamptz,
    last_page             varchar(255),
    provider              varchar(128) NOT NULL DEFAULT 'default',
    external_identifier   varchar(255) CONSTRAINT directus_users_external_identifier_unique UNIQUE,
    auth_data             json,
    email_notifications   boolean      DEFAULT true,
    appearance            varchar(255),
    theme_dark            varchar(255),
    theme_light           varchar(255),
    theme_light_overrides json,
    theme_dark_overrides  json,
    text_direction        varchar(255) NOT NULL DEFAULT 'auto'
);

CREATE TABLE IF NOT EXISTS directus_policies (
    id           uuid         PRIMARY KEY,
    name         varchar(100) NOT NULL,
    icon         varchar(64)  NOT NULL DEFAULT 'badge',
    description  text,
    ip_access    text,
    enforce_tfa  boolean      NOT NULL DEFAULT false,
    admin_access boolean      NOT NULL DEFAULT false,
    app_access   boolean      NOT NULL DEFAULT false
);

-- Which policies a role or a user has; neither = the public.
CREATE TABLE IF NOT EXISTS directus_access (
    id     uuid    PRIMARY KEY,
    role   uuid    CONSTRAINT directus_access_role_foreign REFERENCES directus_roles ON DELETE CASCADE,
    "user" uuid    CONSTRAINT directus_access_user_foreign REFERENCES directus_users ON DELETE CASCADE,
    policy uuid    NOT NULL CONSTRAINT directus_access_policy_foreign
                   REFERENCES directus_policies ON DELETE CASCADE,
    sort   integer
);

CREATE TABLE IF NOT EXISTS directus_permissions (
    id          serial      PRIMARY KEY,
    collection  varchar(64) NOT NULL,
    action      varchar(10) NOT NULL,
    permissions json,
    validation  json,
    presets     json,
    fields      text,
    policy      uuid        NOT NULL CONSTRAINT directus_permissions_policy_foreign
                            REFERENCES directus_policies ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS directus_collections (
    collection              varchar(64)  PRIMARY KEY,
    icon                    varchar(64),
    note                    text,
    display_template        varchar(255),
    hidden                  boolean      NOT NULL DEFAULT false,
    singleton               boolean      NOT NULL DEFAULT false,
    translations            json,
    archive_field           varchar(64),
    archive_app_filter      boolean      NOT NULL DEFAULT true,
    archive_value           varchar(255),
    unarchive_value         varchar(255),
    sort_field              varchar(64),
    accountability          varchar(255) DEFAULT 'all',
    color                   varchar(255),
    item_duplication_fields json,
    sort                    integer,
    "group"                 varchar(64)  CONSTRAINT directus_collections_group_foreign
                                         REFERENCES directus_collections,
    collapse                varchar(255) NOT NULL DEFAULT 'open',
    preview_url             varchar(255),
    versioning              boolean      NOT NULL DEFAULT false
);

CREATE TABLE IF NOT EXISTS directus_fields (
    id                 serial      PRIMARY KEY,
    collection         varchar(64) NOT NULL,
    field              varchar(64) NOT NULL,
    special            varchar(64),
    interface          varchar(64),
    options            json,
    display            varchar(64),
    display_options    json,
    readonly           boolean     NOT NULL DEFAULT false,
    hidden             boolean     NOT NULL DEFAULT false,
    sort               integer,
    width              varchar(30) DEFAULT 'full',
    translations       json,
    note               text,
    conditions         json,
    required           boolean     DEFAULT false,
    "group"            varchar(64),
    validation         json,
    validation_message text,
    searchable         boolean     NOT NULL DEFAULT true
);

CREATE TABLE IF NOT EXISTS directus_relations (
    id                      serial       PRIMARY KEY,
    many_collection         varchar(64)  NOT NULL,
    many_field              varchar(64)  NOT NULL,
    one_collection          varchar(64),
    one_field               varchar(64),
    one_collection_field    varchar(64),
    one_allowed_collections text,
    junction_field          varchar(64),
    sort_field              varchar(64),
    one_deselect_action     varchar(255) NOT NULL DEFAULT 'nullify'
);

CREATE TABLE IF NOT EXISTS directus_folders (
    id     uuid         PRIMARY KEY,
    name   varchar(255) NOT NULL,
    parent uuid         CONSTRAINT directus_folders_parent_foreign REFERENCES directus_folders
);

CREATE TABLE IF NOT EXISTS directus_files (
    id                uuid         PRIMARY KEY,
    storage           varchar(255) NOT NULL,
    filename_disk     varchar(255),
    filename_download varchar(255) NOT NULL,
    title             varchar(255),
    type              varchar(255),
    folder            uuid         CONSTRAINT directus_files_folder_foreign
                                   REFERENCES directus_folders ON DELETE SET NULL,
    uploaded_by       uuid         CONSTRAINT directus_files_uploaded_by_foreign REFERENCES directus_users,
    created_on        timestamptz  NOT NULL DEFAULT CURRENT_TIMESTAMP,
    modified_by       uuid         CONSTRAINT directus_files_modified_by_foreign REFERENCES directus_users,
    modified_on       timestamptz  NOT NULL DEFAULT CURRENT_TIMESTAMP,
    charset           varchar(50),
    filesize          bigint,
    width             integer,
    height            integer,
    duration          integer,
    embed             varchar(200),
    description       text,
    location          text,
    tags              text,
    metadata          json,
    focal_point_x     integer,
    focal_point_y     integer,
    tus_id            varchar(64),
    tus_data          json,
    uploaded_on       timestamptz
);

CREATE TABLE IF NOT EXISTS directus_settings (
    id                              serial       PRIMARY KEY,
    project_name                    varchar(100) NOT NULL DEFAULT 'Directus',
    project_url                     varchar(255),
    project_color                   varchar(255) NOT NULL DEFAULT '#6644FF',
    project_logo                    uuid         CONSTRAINT directus_settings_project_logo_foreign
                                                 REFERENCES directus_files,
    public_foreground               uuid         CONSTRAINT directus_settings_public_foreground_foreign
                                                 REFERENCES directus_files,
    public_background               uuid         CONSTRAINT directus_settings_public_background_foreign
                                                 REFERENCES directus_files,
    public_note                     text,
    auth_login_attempts             integer      DEFAULT 25,
    auth_password_policy            varchar(100),
    storage_asset_transform         varchar(7)   DEFAULT 'all',
    storage_asset_presets           json,
    custom_css                      text,
    storage_default_folder          uuid         CONSTRAINT directus_settings_storage_default_folder_foreign
                                                 REFERENCES directus_folders ON DELETE SET NULL,
    basemaps                        json,
    mapbox_key                      varchar(255),
    module_bar                      json,
    project_descriptor              varchar(100),
    default_language                varchar(255) NOT NULL DEFAULT 'en-US',
    custom_aspect_ratios            json,
    public_favicon                  uuid         CONSTRAINT directus_settings_public_favicon_foreign
                                                 REFERENCES directus_files,
    default_appearance              varchar(255) NOT NULL DEFAULT 'auto',
    default_theme_light             varchar(255),
    theme_light_overrides           json,
    default_theme_dark              varchar(255),
    theme_dark_overrides            json,
    report_error_url                varchar(255),
    report_bug_url                  varchar(255),
    report_feature_url              varchar(255),
    public_registration             boolean      NOT NULL DEFAULT false,
    public_registration_verify_email boolean     NOT NULL DEFAULT true,
    public_registration_role        uuid         CONSTRAINT directus_settings_public_registration_role_foreign
                                                 REFERENCES directus_roles ON DELETE SET NULL,
    public_registration_email_filter json,
    visual_editor_urls              json,
    project_id                      uuid,
    mcp_enabled                     boolean      NOT NULL DEFAULT false,
    mcp_allow_deletes               boolean      NOT NULL DEFAULT false,
    mcp_prompts_collection          varchar(255),
    mcp_system_prompt_enabled       boolean      NOT NULL DEFAULT true,
    mcp_system_prompt               text,
    project_owner                   varchar(255),
    project_usage                   varchar(255),
    org_name                        varchar(255),
    product_updates                 boolean,
    project_status                  varchar(255),
    ai_openai_api_key               text,
    ai_anthropic_api_key            text,
    ai_system_prompt                text,
    ai_google_api_key               text,
    ai_openai_compatible_api_key    text,
    ai_openai_compatible_base_url   text,
    ai_openai_compatible_name       text,
    ai_openai_compatible_models     json,
    ai_openai_compatible_headers    json,
    ai_openai_allowed_models        json,
    ai_anthropic_allowed_models     json,
    ai_google_allowed_models        json,
    collaborative_editing_enabled   boolean      NOT NULL DEFAULT false
);

CREATE TABLE IF NOT EXISTS directus_shares (
    id           uuid         PRIMARY KEY,
    name         varchar(255),
    collection   varchar(64)  NOT NULL CONSTRAINT directus_shares_collection_foreign
                              REFERENCES directus_collections ON DELETE CASCADE,
    item         varchar(255) NOT NULL,
    role         uuid         CONSTRAINT directus_shares_role_foreign
                              REFERENCES directus_roles ON DELETE CASCADE,
    password     varchar(255),
    user_created uuid         CONSTRAINT directus_shares_user_created_foreign
                              REFERENCES directus_users ON DELETE CASCADE,
    date_created timestamptz  DEFAULT CURRENT_TIMESTAMP,
    date_start   timestamptz,
    date_end     timestamptz,
    times_used   integer      DEFAULT 0,
    max_uses     integer
);

-- Refresh tokens stand here as hashes only: `token` names the session and stays, `next_token` says which refresh
-- token is good now. A taken-over session holds its token itself and is not honoured.
CREATE TABLE IF NOT EXISTS directus_sessions (
    token      varchar(64)  PRIMARY KEY,
    "user"     uuid         CONSTRAINT directus_sessions_user_foreign
                            REFERENCES directus_users ON DELETE CASCADE,
    expires    timestamptz  NOT NULL,
    ip         varchar(255),
    user_agent text,
    share      uuid         CONSTRAINT directus_sessions_share_foreign
                            REFERENCES directus_shares ON DELETE CASCADE,
    origin     varchar(255),
    next_token varchar(64)
);

CREATE TABLE IF NOT EXISTS directus_versions (
    id           uuid         PRIMARY KEY,
    key          varchar(64)  NOT NULL,
    name         varchar(255),
    collection   varchar(64)  NOT NULL CONSTRAINT directus_versions_collection_foreign
                              REFERENCES directus_collections ON DELETE CASCADE,
    item         varchar(255) NOT NULL,
    hash         varchar(255),
    date_created timestamptz  DEFAULT CURRENT_TIMESTAMP,
    date_updated timestamptz  DEFAULT CURRENT_TIMESTAMP,
    user_created uuid         CONSTRAINT directus_versions_user_created_foreign
                              REFERENCES directus_users ON DELETE SET NULL,
    user_updated uuid         CONSTRAINT directus_versions_user_updated_foreign REFERENCES directus_users,
    delta        json
);

-- What stands in a taken-over database stays; new entries are read from the event log.
CREATE TABLE IF NOT EXISTS directus_activity (
    id         serial       PRIMARY KEY,
    action     varchar(45)  NOT NULL,
    "user"     uuid,
    timestamp  timestamptz  NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ip         varchar(50),
    user_agent text,
    collection varchar(64)  NOT NULL,
    item       varchar(255) NOT NULL,
    origin     varchar(255)
);
CREATE INDEX IF NOT EXISTS directus_activity_timestamp_index ON directus_activity (timestamp);

CREATE TABLE IF NOT EXISTS directus_revisions (
    id         serial       PRIMARY KEY,
    activity   integer      NOT NULL CONSTRAINT directus_revisions_activity_foreign
                            REFERENCES directus_activity ON DELETE CASCADE,
    collection varchar(64)  NOT NULL,
    item       varchar(255) NOT NULL,
    data       json,
    delta      json,
    parent     integer      CONSTRAINT directus_revisions_parent_foreign REFERENCES directus_revisions,
    version    uuid         CONSTRAINT directus_revisions_version_foreign
                            REFERENCES directus_versions ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS directus_revisions_parent_index ON directus_revisions (parent);
CREATE INDEX IF NOT EXISTS directus_revisions_activity_index ON directus_revisions (activity);

CREATE TABLE IF NOT EXISTS directus_comments (
    id           uuid         PRIMARY KEY,
    collection   varchar(64)  NOT NULL,
    item         varchar(255) NOT NULL,
    comment      text         NOT NULL,
    date_created timestamptz  DEFAULT CURRENT_TIMESTAMP,
    date_updated timestamptz  DEFAULT CURRENT_TIMESTAMP,
    user_created uuid         CONSTRAINT directus_comments_user_created_foreign
                              REFERENCES directus_users ON DELETE SET NULL,
    user_updated uuid         CONSTRAINT directus_comments_user_updated_foreign REFERENCES directus_users
);

CREATE TABLE IF NOT EXISTS directus_dashboards (
    id           uuid         PRIMARY KEY,
    name         varchar(255) NOT NULL,
    icon         varchar(64)  NOT NULL DEFAULT 'dashboard',
    note         text,
    date_created timestamptz  DEFAULT CURRENT_TIMESTAMP,
    user_created uuid         CONSTRAINT directus_dashboards_user_created_foreign
                              REFERENCES directus_users ON DELETE SET NULL,
    color        varchar(255)
);

CREATE TABLE IF NOT EXISTS directus_panels (
    id           uuid         PRIMARY KEY,
    dashboard    uuid         NOT NULL CONSTRAINT directus_panels_dashboard_foreign
                              REFERENCES directus_dashboards ON DELETE CASCADE,
    name         varchar(255),
    icon         varchar(64),
    color        varchar(10),
    show_header  boolean      NOT NULL DEFAULT false,
    note         text,
    type         varchar(255) NOT NULL,
    position_x   integer      NOT NULL,
    position_y   integer      NOT NULL,
    width        integer      NOT NULL,
    height       integer      NOT NULL,
    options      json,
    date_created timestamptz  DEFAULT CURRENT_TIMESTAMP,
    user_created uuid         CONSTRAINT directus_panels_user_created_foreign
                              REFERENCES directus_users ON DELETE SET NULL
);

CREATE TABLE IF NOT EXISTS directus_notifications (
    id         serial       PRIMARY KEY,
    timestamp  timestamptz  DEFAULT CURRENT_TIMESTAMP,
    status     varchar(255) DEFAULT 'inbox',
    recipient  uuid         NOT NULL CONSTRAINT directus_notifications_recipient_foreign
                            REFERENCES directus_users ON DELETE CASCADE,
    sender     uuid         CONSTRAINT directus_notifications_sender_foreign REFERENCES directus_users,
    subject    varchar(255) NOT NULL,
    message    text,
    collection varchar(64),
    item       varchar(255)
);

CREATE TABLE IF NOT EXISTS directus_flows (
    id             uuid         PRIMARY KEY,
    name           varchar(255) NOT NULL,
    icon           varchar(64),
    color          varchar(255),
    description    text,
    status         varchar(255) NOT NULL DEFAULT 'active',
    trigger        varchar(255),
    accountability varchar(255) DEFAULT 'all',
    options        json,
    operation      uuid         CONSTRAINT directus_flows_operation_unique UNIQUE,
    date_created   timestamptz  DEFAULT CURRENT_TIMESTAMP,
    user_created   uuid         CONSTRAINT directus_flows_user_created_foreign
                                REFERENCES directus_users ON DELETE SET NULL
);

CREATE TABLE IF NOT EXISTS directus_operations (
    id           uuid         PRIMARY KEY,
    name         varchar(255),
    key          varchar(255) NOT NULL,
    type         varchar(255) NOT NULL,
    position_x   integer      NOT NULL,
    position_y   integer      NOT NULL,
    options      json,
    resolve      uuid         CONSTRAINT directus_operations_resolve_unique UNIQUE
                              CONSTRAINT directus_operations_resolve_foreign REFERENCES directus_operations,
    reject       uuid         CONSTRAINT directus_operations_reject_unique UNIQUE
                              CONSTRAINT directus_operations_reject_foreign REFERENCES directus_operations,
    flow         uuid         NOT NULL CONSTRAINT directus_operations_flow_foreign
                              REFERENCES directus_flows ON DELETE CASCADE,
    date_created timestamptz  DEFAULT CURRENT_TIMESTAMP,
    user_created uuid         CONSTRAINT directus_operations_user_created_foreign
                              REFERENCES directus_users ON DELETE SET NULL
);

CREATE TABLE IF NOT EXISTS directus_presets (
    id               serial       PRIMARY KEY,
    bookmark         varchar(255),
    "user"           uuid         CONSTRAINT directus_presets_user_foreign
                                  REFERENCES directus_users ON DELETE CASCADE,
    role             uuid         CONSTRAINT directus_presets_role_foreign
                                  REFERENCES directus_roles ON DELETE CASCADE,
    collection       varchar(64),
    search           varchar(100),
    layout           varchar(100) DEFAULT 'tabular',
    layout_query     json,
    layout_options   json,
    refresh_interval integer,
    filter           json,
    icon             varchar(64)  DEFAULT 'bookmark',
    color            varchar(255)
);

CREATE TABLE IF NOT EXISTS directus_translations (
    id       uuid         PRIMARY KEY,
    language varchar(255) NOT NULL,
    key      varchar(255) NOT NULL,
    value    text         NOT NULL
);

CREATE TABLE IF NOT EXISTS directus_extensions (
    enabled boolean      NOT NULL DEFAULT true,
    id      uuid         PRIMARY KEY,
    folder  varchar(255) NOT NULL,
    source  varchar(255) NOT NULL,
    bundle  uuid
);

-- Directus's own record of its migrations; ours is `eventus.migrations`.
CREATE TABLE IF NOT EXISTS directus_migrations (
    version   varchar(255) PRIMARY KEY,
    name      varchar(255) NOT NULL,
    timestamp timestamptz  DEFAULT CURRENT_TIMESTAMP
);
