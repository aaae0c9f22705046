//! The queue of mails: kept until they are handed over, unreadable meanwhile, tried again, given up in the end.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::Smtp;

use super::{ADMIN, mailing, settings};
use crate::api::Api;
use crate::world::{Options, World};

const REQUEST: &str = "/auth/password/request";
const SOON: Duration = Duration::from_secs(15);

async fn mails(world: &World) -> Value {
    world.api.get("/mails").await.expect(200).data()
}

async fn becomes(world: &World, state: &str) {
    testkit::eventually(SOON, || async { mails(world).await[0]["state"] == state }).await;
}

#[tokio::test]
async fn without_a_server_they_are_kept_and_unreadable() {
    let world = World::with(shape!(), Options::default().set("LOGIN_STALL_TIME", "20")).await;
    let nobody = world.api.with_token(None);
    nobody.post(REQUEST, json!({"email": ADMIN})).await.expect(204);
    let all = mails(&world).await;
    assert_eq!(
        (&all[0]["kind"], &all[0]["state"], &all[0]["attempts"]),
        (&json!("password-reset"), &json!("pending"), &json!(0))
    );
    assert!(all[0].get("text").is_none() && all[0].get("to").is_none(), "{all}");
    let stored: String = sqlx::query_scalar("SELECT to_json(m)::text FROM eventus.mails m")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    assert!(
        stored.contains("$aes256gcm$") && !stored.contains("token") && !stored.contains(ADMIN),
        "{stored}"
    );
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM eventus.events WHERE name <> 'users.create'")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    assert_eq!(events, 0, "it is in no event");
    nobody.get("/mails").await.refused(403, "FORBIDDEN");
    world.user("eva@example.com", "eva-token").await;
    world.api.with_token(Some("eva-token")).get("/mails").await.refused(403, "FORBIDDEN");
    assert!(world.whole_logs().contains("mails are kept, not sent"));
}

#[tokio::test]
async fn a_preview_shows_what_they_say() {
    let smtp = Smtp::start().await;
    let world = mailing(&smtp, &[("EVENTUS_MAIL_PREVIEW", "true")]).await;
    let name = "<b>Shop</b>\r\nBcc: evil@example.com";
    settings(&world, json!({"project_name": name})).await;
    world.api.with_token(None).post(REQUEST, json!({"email": ADMIN})).await.expect(204);
    let mail = smtp.wait(1).await.remove(0);
    becomes(&world, "sent").await;
    let shown = mails(&world).await[0].clone();
    assert_eq!((&shown["to"], &shown["subject"]), (&json!(ADMIN), &json!("Password Reset Request")));
    assert!(shown["text"].as_str().unwrap().contains(&mail.token()));
    let html = shown["html"].as_str().unwrap();
    assert!(html.contains("&lt;b&gt;Shop&lt;/b&gt;") && !html.contains("<b>Shop"), "{html}");
    let head = mail.source.split("\n\n").next().unwrap();
    assert!(!head.lines().any(|line| line.to_lowercase().starts_with("bcc")), "{head}");
    assert_eq!(mail.to, [ADMIN]);
}

#[tokio::test]
async fn what_is_not_taken_is_tried_again_and_given_up_in_the_end() {
    let smtp = Smtp::start().await;
    let world = mailing(&smtp, &[("EVENTUS_MAIL_SCHEDULE", "50,50")]).await;
    let nobody = world.api.with_token(None);
    smtp.refuse("451 try again later");
    smtp.refuse("421 not now");
    nobody.post(REQUEST, json!({"email": ADMIN})).await.expect(204);
    let mail = smtp.wait(1).await.remove(0);
    becomes(&world, "sent").await;
    let first = mails(&world).await[0].clone();
    assert_eq!((&first["attempts"], &first["error"]), (&json!(3), &json!(null)));
    let id = first["id"].as_str().unwrap();
    assert_eq!(mail.header("message-id"), Some(format!("<{id}@example.com>").as_str()));
    let kept: Option<String> =
        sqlx::query_scalar("SELECT sealed FROM eventus.mails").fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(kept, None, "what was sent is not kept");
    // Never: given up at once. Not for three times: given up then.
    smtp.refuse("550 no such mailbox");
    nobody.post(REQUEST, json!({"email": ADMIN})).await.expect(204);
    becomes(&world, "dead").await;
    let second = mails(&world).await[0].clone();
    assert_eq!((&second["attempts"], &second["error"]), (&json!(1), &json!("status 550")));
    (0..3).for_each(|_| smtp.refuse("451 try again later"));
    world.user("eva@example.com", "eva-token").await;
    nobody.post(REQUEST, json!({"email": "eva@example.com"})).await.expect(204);
    let third = || async {
        let newest = mails(&world).await[0].clone();
        newest["state"] == "dead" && newest["error"] == "status 451"
    };
    testkit::eventually(SOON, third).await;
    assert_eq!(mails(&world).await[0]["attempts"], 3);
    let auth = &world.processes[world.process_of("auth")];
    let metrics = Api::new(format!("http://{}", auth.admin), None).get("/metrics").await.expect(200).text;
    for line in [
        r#"eventus_mails_total{kind="password-reset",outcome="again"} 4"#,
        r#"eventus_mails_total{kind="password-reset",outcome="dead"} 2"#,
        r#"eventus_mails_total{kind="password-reset",outcome="sent"} 1"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
}

/// Killed between the decision and the sending, and looked at by two: nothing is lost, and nothing goes out twice.
#[tokio::test]
async fn replicas_share_them_and_a_crash_loses_none() {
    let smtp = Smtp::start().await;
    let mut world = mailing(&smtp, &[]).await;
    let auth = world.process_of("auth");
    let pool = world.pool().await;
    if shape!() == crate::world::Shape::AllInOne {
        world.replica();
        world.ready().await;
    }
    let role = world.api.post("/roles", json!({"name": "Guests"})).await.expect(200).data()["id"].clone();
    let emails: Vec<String> = (0..20).map(|n| format!("guest{n}@example.com")).collect();
    world.api.post("/users/invite", json!({"email": emails, "role": role})).await.expect(204);
    // In the middle of it. What the killed one had taken is another's when its time is over.
    world.kill9(auth);
    sqlx::query("UPDATE eventus.mails SET locked_until = now() WHERE state = 'pending'")
        .execute(&pool)
        .await
        .unwrap();
    world.spawn(auth);
    world.ready().await;
    let done = || async {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM eventus.mails WHERE state <> 'sent'")
            .fetch_one(&pool)
            .await
            .unwrap();
        left == 0
    };
    testkit::eventually(Duration::from_secs(40), done).await;
    let ids: std::collections::BTreeSet<String> =
        smtp.mails().iter().map(|mail| mail.header("message-id").unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 20);
}

#[tokio::test]
async fn a_limit_holds_and_the_rest_waits() {
    let smtp = Smtp::start().await;
    let limit = [
        ("RATE_LIMITER_EMAIL_ENABLED", "true"),
        ("RATE_LIMITER_EMAIL_POINTS", "2"),
        ("RATE_LIMITER_EMAIL_DURATION", "3"),
    ];
    let world = mailing(&smtp, &limit).await;
    let role = world.api.post("/roles", json!({"name": "Guests"})).await.expect(200).data()["id"].clone();
    let emails: Vec<String> = (0..4).map(|n| format!("guest{n}@example.com")).collect();
    world.api.post("/users/invite", json!({"email": emails, "role": role})).await.expect(204);
    smtp.wait(4).await;
    let spans: Vec<f64> = sqlx::query_scalar(
        "SELECT extract(epoch FROM attempted - min(attempted) OVER ())::float8 FROM eventus.mails ORDER BY attempted",
    )
    .fetch_all(&world.pool().await)
    .await
    .unwrap();
    assert!(spans[1] < 3.0 && spans[2] >= 3.0, "{spans:?}");
}
