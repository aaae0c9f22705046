//! Invitations: who is invited chooses his password, once.

use serde_json::json;
use testkit::Smtp;

use super::{ADMIN, claims, login, mailing, settings, user};
use crate::world::World;

async fn role(world: &World) -> serde_json::Value {
    world.api.post("/roles", json!({"name": "Guests"})).await.expect(200).data()["id"].clone()
}

#[tokio::test]
async fn who_is_invited_chooses_a_password_once() {
    let smtp = Smtp::start().await;
    let world = mailing(&smtp, &[("USER_INVITE_URL_ALLOW_LIST", "https://app.example.com/join")]).await;
    let (api, nobody) = (&world.api, world.api.with_token(None));
    let role = role(&world).await;
    let asked = json!({"email": "Ida@example.com", "role": role});
    api.post("/users/invite", asked.clone()).await.expect(204);
    let mail = smtp.wait(1).await.remove(0);
    assert_eq!(mail.to, ["Ida@example.com"]);
    assert!(mail.text().contains("https://data.example.com/admin/accept-invite?token="), "{}", mail.text());
    let ida = user(&world, "Ida@example.com").await;
    assert_eq!((&ida["status"], &ida["role"], &ida["password"]), (&json!("invited"), &role, &json!(null)));
    // Another time: another mail to the same user, in whatever case.
    let again =
        json!({"email": "ida@example.com", "role": role, "invite_url": "https://app.example.com/join"});
    api.post("/users/invite", again).await.expect(204);
    let second = smtp.wait(2).await.remove(1);
    assert_eq!(second.to, ["Ida@example.com"]);
    assert!(second.text().contains("https://app.example.com/join?token="));
    let token = mail.token();
    assert_eq!(claims(&token)["scope"], "invite");
    settings(&world, json!({"auth_password_policy": "^.{8,}$"})).await;
    let short = json!({"token": token, "password": "short"});
    nobody.post("/users/invite/accept", short).await.refused(400, "FAILED_VALIDATION");
    for wrong in [
        json!({}),
        json!({"token": token}),
        json!({"token": token, "password": 5}),
        json!({"token": {"a": 1}, "password": "long enough"}),
        json!({"token": token, "password": "long enough", "role": role}),
        json!({"token": token, "password": "long enough", "status": "active"}),
    ] {
        nobody.post("/users/invite/accept", wrong).await.refused(400, "INVALID_PAYLOAD");
    }
    let accept = json!({"token": token, "password": "long enough"});
    nobody.post("/users/invite/accept", accept).await.expect(204);
    login(&nobody, "ida@example.com", "long enough").await.expect(200);
    for token in [token, second.token()] {
        let again = json!({"token": token, "password": "another one"});
        nobody.post("/users/invite/accept", again).await.refused(400, "INVALID_INVITE");
    }
    // Who is a user hears nothing of it.
    api.post("/users/invite", asked).await.expect(204);
    api.post("/users/invite", json!({"email": ADMIN, "role": role})).await.expect(204);
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM eventus.events WHERE key = $1 AND name LIKE 'users.%' ORDER BY position",
    )
    .bind(ida["id"].as_str())
    .fetch_all(&world.pool().await)
    .await
    .unwrap();
    assert_eq!(names, ["users.create", "users.update"]);
    assert_eq!(smtp.mails().len(), 2);
}

#[tokio::test]
async fn several_at_once_and_what_is_refused() {
    let smtp = Smtp::start().await;
    let world = mailing(&smtp, &[]).await;
    let (api, nobody) = (&world.api, world.api.with_token(None));
    world.user("eva@example.com", "eva-token").await;
    let role = role(&world).await;
    let bodies = [
        json!({}),
        json!({"email": "a@example.com"}),
        json!({"role": role}),
        json!({"email": 5, "role": role}),
        json!({"email": "bad", "role": role}),
        json!({"email": "a@example.com\r\nBcc: b@example.com", "role": role}),
        json!({"email": ["a@example.com", "bad"], "role": role}),
        json!({"email": ["a@example.com", {"$ne": 1}], "role": role}),
        json!({"email": "a@example.com", "role": "nouuid"}),
        json!({"email": "a@example.com", "role": role, "invite_url": "https://evil.example"}),
        json!({"email": "a@example.com", "role": role, "invite_url": 5}),
        json!({"email": "a@example.com", "role": role, "status": "active"}),
        json!([{"email": "a@example.com"}]),
    ];
    for body in bodies {
        api.post("/users/invite", body).await.refused(400, "INVALID_PAYLOAD");
    }
    let nowhere = json!({"email": "a@example.com", "role": "00000000-0000-4000-8000-00000000ffff"});
    api.post("/users/invite", nowhere).await.refused(400, "INVALID_FOREIGN_KEY");
    let asked = json!({"email": "a@example.com", "role": role});
    nobody.post("/users/invite", asked.clone()).await.refused(403, "FORBIDDEN");
    api.with_token(Some("eva-token")).post("/users/invite", asked).await.refused(403, "FORBIDDEN");
    let pool = world.pool().await;
    let (mails, users): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM eventus.mails), (SELECT count(*) FROM directus_users WHERE status = 'invited')",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!((mails, users), (0, 0));
    api.post("/users/invite", json!({"email": [], "role": role})).await.expect(204);
    api.post("/users/invite", json!({"email": ["one@example.com", "two@example.com"], "role": role}))
        .await
        .expect(204);
    let mut to: Vec<String> = smtp.wait(2).await.into_iter().flat_map(|mail| mail.to).collect();
    to.sort();
    assert_eq!(to, ["one@example.com", "two@example.com"]);
}

#[tokio::test]
async fn who_may_make_users_may_invite() {
    let smtp = Smtp::start().await;
    let office = super::super::permissions::Office::open(mailing(&smtp, &[]).await).await;
    let admin = &office.world.api;
    let role = role(&office.world).await;
    let asked = json!({"email": "new@example.com", "role": role});
    office.writer.post("/users/invite", asked.clone()).await.refused(403, "FORBIDDEN");
    // Not whoever he likes: his rules hold.
    let fields = ["email", "role", "status"];
    let permission = json!({"collection": "directus_users", "action": "create", "fields": fields,
        "validation": {"role": {"_eq": role}}});
    office.policy(json!([permission])).await;
    let other = json!({"email": "new@example.com", "role": office.role});
    office.writer.post("/users/invite", other).await.refused(400, "FAILED_VALIDATION");
    office.writer.post("/users/invite", asked.clone()).await.expect(204);
    assert_eq!(smtp.wait(1).await[0].to, ["new@example.com"]);
    let sql = "SELECT (SELECT count(*) FROM directus_users WHERE status = 'invited' AND role = $1::uuid)";
    let invited: i64 =
        sqlx::query_scalar(sql).bind(role.as_str()).fetch_one(&office.world.pool().await).await.unwrap();
    assert_eq!(invited, 1);

    // A share is mailed by who may share its item.
    admin.patch("/collections/articles", json!({"meta": {"note": "shared"}})).await.expect(200);
    let share = json!({"collection": "articles", "item": "1"});
    let share = admin.post("/shares", share).await.expect(200).data()["id"].clone();
    let asked = json!({"share": share, "emails": ["guest@example.com"]});
    office.world.api.with_token(None).post("/shares/invite", asked.clone()).await.refused(403, "FORBIDDEN");
    office.writer.post("/shares/invite", asked.clone()).await.refused(403, "FORBIDDEN");
    for bad in [
        json!({"emails": ["a@example.com"]}),
        json!({"share": share, "emails": ["bad"]}),
        json!({"share": "x"}),
    ] {
        admin.post("/shares/invite", bad).await.refused(400, "INVALID_PAYLOAD");
    }
    admin.post("/shares/invite", asked).await.expect(204);
    let mail = smtp.wait(2).await.remove(1);
    assert_eq!(mail.to, ["guest@example.com"]);
    let link = format!("https://data.example.com/admin/shared/{}", share.as_str().unwrap());
    assert!(mail.text().contains(&link), "{}", mail.text());
}
