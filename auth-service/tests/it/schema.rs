//! The system tables are Directus's own, column by column.

use sqlx::Row;

use crate::world::World;

/// `column type` in order; `!` = not null, `=` default as PostgreSQL prints it.
const TABLES: &[(&str, &[&str])] = &[
    ("directus_access", &["id uuid!", "role uuid", "user uuid", "policy uuid!", "sort integer"]),
    (
        "directus_sessions",
        &[
            "token character varying(64)!",
            "user uuid",
            "expires timestamp with time zone!",
            "ip character varying(255)",
            "user_agent text",
            "share uuid",
            "origin character varying(255)",
            "next_token character varying(64)",
        ],
    ),
    (
        "directus_permissions",
        &[
            "id integer!=nextval('directus_permissions_id_seq'::regclass)",
            "collection character varying(64)!",
            "action character varying(10)!",
            "permissions json",
            "validation json",
            "presets json",
            "fields text",
            "policy uuid!",
        ],
    ),
    (
        "directus_activity",
        &[
            "id integer!=nextval('directus_activity_id_seq'::regclass)",
            "action character varying(45)!",
            "user uuid",
            "timestamp timestamp with time zone!=CURRENT_TIMESTAMP",
            "ip character varying(50)",
            "user_agent text",
            "collection character varying(64)!",
            "item character varying(255)!",
            "origin character varying(255)",
        ],
    ),
    (
        "directus_relations",
        &[
            "id integer!=nextval('directus_relations_id_seq'::regclass)",
            "many_collection character varying(64)!",
            "many_field character varying(64)!",
            "one_collection character varying(64)",
            "one_field character varying(64)",
            "one_collection_field character varying(64)",
            "one_allowed_collections text",
            "junction_field character varying(64)",
            "sort_field character varying(64)",
            "one_deselect_action character varying(255)!='nullify'::character varying",
        ],
    ),
    (
        "directus_users",
        &[
            "id uuid!",
            "first_name character varying(50)",
            "last_name character varying(50)",
            "email character varying(128)",
            "password character varying(255)",
            "location character varying(255)",
            "title character varying(50)",
            "description text",
            "tags json",
            "avatar uuid",
            "language character varying(255)",
            "tfa_secret character varying(255)",
            "status character varying(16)!='active'::character varying",
            "role uuid",
            "token character varying(255)",
            "last_access timestamp with time zone",
            "last_page character varying(255)",
            "provider character varying(128)!='default'::character varying",
            "external_identifier character varying(255)",
            "auth_data json",
            "email_notifications boolean=true",
            "appearance character varying(255)",
            "theme_dark character varying(255)",
            "theme_light character varying(255)",
            "theme_light_overrides json",
            "theme_dark_overrides json",
            "text_direction character varying(255)!='auto'::character varying",
        ],
    ),
];

const COLUMNS: &str = "SELECT a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
        || CASE WHEN a.attnotnull THEN '!' ELSE '' END || coalesce('=' || pg_get_expr(d.adbin, d.adrelid), '')
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = $1::regclass AND a.attnum > 0 ORDER BY a.attnum";

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_those_of_directus() {
    let world = World::bare().await;
    for (table, expected) in TABLES {
        let columns: Vec<String> =
            sqlx::query_scalar(COLUMNS).bind(table).fetch_all(world.pool()).await.unwrap();
        assert_eq!(&columns, expected, "{table}");
    }
    let counted = world
        .count(
            "SELECT count(*) FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name LIKE 'directus\\_%'",
        )
        .await;
    assert_eq!(counted, 326);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn constraints_have_the_names_and_rules_of_directus() {
    let world = World::bare().await;
    let rows = sqlx::query("SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint")
        .fetch_all(world.pool())
        .await
        .unwrap();
    let constraints: std::collections::HashMap<String, String> =
        rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for (name, expected) in [
        ("directus_sessions_pkey", "PRIMARY KEY (token)"),
        ("directus_collections_pkey", "PRIMARY KEY (collection)"),
        ("directus_users_email_unique", "UNIQUE (email)"),
        ("directus_users_token_unique", "UNIQUE (token)"),
        ("directus_flows_operation_unique", "UNIQUE (operation)"),
        (
            "directus_users_role_foreign",
            "FOREIGN KEY (role) REFERENCES directus_roles(id) ON DELETE SET NULL",
        ),
        (
            "directus_sessions_user_foreign",
            "FOREIGN KEY (\"user\") REFERENCES directus_users(id) ON DELETE CASCADE",
        ),
        ("directus_roles_parent_foreign", "FOREIGN KEY (parent) REFERENCES directus_roles(id)"),
    ] {
        assert_eq!(constraints.get(name).map(String::as_str), Some(expected), "{name}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_is_left_alone() {
    let world = World::new().await;
    world.execute("ALTER TABLE directus_users ADD COLUMN shoe_size integer").await;
    let first = &db::MIGRATIONS[0];
    sqlx::raw_sql(first.sql).execute(world.pool()).await.unwrap();
    assert_eq!(world.count("SELECT count(*) FROM directus_users WHERE shoe_size IS NULL").await, 1);
    world.stop().await;
}
