//! How long refused logins take: alike for who is there, who is not, and who is suspended. Measurements, run by hand:
//! `cargo nextest run -p system-tests --run-ignored only -E 'test(all_in_one::accounts::timing)'`.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{PASSWORD, login, settings};
use crate::world::{Options, World};

/// Mean milliseconds of so many refused logins: existing, missing, suspended, of another provider; in turns, without the
/// stall that would hide every difference.
async fn means(tries: u32) -> [f64; 4] {
    let options = Options::default().set("LOGIN_STALL_TIME", "0").set("HASH_MEMORY_COST", "19456");
    let world = World::with(shape!(), options).await;
    settings(&world, json!({"auth_login_attempts": null})).await;
    let pool = world.pool().await;
    for (name, status, provider) in
        [("there", "active", "default"), ("gone", "suspended", "default"), ("sso", "active", "google")]
    {
        world.user(&format!("{name}@example.com"), &format!("{name}-token")).await;
        let sql = "UPDATE directus_users SET status = $2, provider = $3 WHERE email = $1";
        let update = sqlx::query(sql).bind(format!("{name}@example.com")).bind(status).bind(provider);
        update.execute(&pool).await.unwrap();
    }
    let people = [("there", "wrong"), ("nobody", PASSWORD), ("gone", PASSWORD), ("sso", PASSWORD)];
    let mut sums = [Duration::ZERO; 4];
    for turn in 0..tries + 10 {
        for (sum, (name, password)) in sums.iter_mut().zip(people) {
            let email = format!("{name}@example.com");
            let begun = Instant::now();
            login(&world.api, &email, password).await.refused(401, "INVALID_CREDENTIALS");
            // The first ones warm up.
            *sum += if turn < 10 { Duration::ZERO } else { begun.elapsed() };
        }
    }
    sums.map(|sum| sum.as_secs_f64() * 1_000.0 / f64::from(tries))
}

fn alike(means: [f64; 4]) {
    let (least, most) = means.iter().fold((f64::MAX, f64::MIN), |(a, b), mean| (a.min(*mean), b.max(*mean)));
    println!("existing, missing, suspended, other provider: {means:.2?} ms, {:.2} ms apart", most - least);
    assert!(most - least < 5.0, "{means:?}");
}

#[tokio::test]
#[ignore = "a measurement of some minutes"]
async fn refusals_take_as_long_whoever_it_is() {
    alike(means(2_000).await);
}

#[tokio::test]
#[ignore = "a measurement of half a minute"]
async fn refusals_take_as_long_whoever_it_is_in_short() {
    alike(means(100).await);
}
