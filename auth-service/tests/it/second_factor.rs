//! One-time passwords under a clock that the test holds.

use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use model::{Accountability, ErrorCode};
use ring::hmac;

use crate::world::{ADMIN, PASSWORD, World, code};

fn otp(world: &World, secret: &str, steps: i64) -> String {
    let key =
        hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &BASE32_NOPAD.decode(secret.as_bytes()).unwrap());
    let tag = hmac::sign(&key, &(world.now().unix_timestamp() / 30 + steps).to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let four: [u8; 4] = tag.as_ref()[at..at + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
}

async fn enabled(world: &World) -> String {
    let who = || Accountability { user: Some(world.admin), ..Accountability::default() };
    let secret = world.generate_secret(who(), PASSWORD).await.unwrap();
    world.enable(who(), &secret, &otp(world, &secret, 0)).await.unwrap();
    world.advance(Duration::from_secs(300));
    secret
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_to_either_side_is_near_enough_and_none_comes_back() {
    let world = World::new().await;
    let secret = enabled(&world).await;
    for far in [-3, -2, 2, 3] {
        let refused = world.login_with(ADMIN, PASSWORD, &otp(&world, &secret, far)).await;
        assert_eq!(code(refused), ErrorCode::InvalidOtp, "{far}");
    }
    for near in [-1, 0, 1] {
        let right = otp(&world, &secret, near);
        world.login_with(ADMIN, PASSWORD, &right).await.unwrap();
        assert_eq!(code(world.login_with(ADMIN, PASSWORD, &right).await), ErrorCode::InvalidOtp, "{near}");
    }
    // What comes before the last one that was accepted is over, too.
    for near in [-1, 0, 1] {
        let refused = world.login_with(ADMIN, PASSWORD, &otp(&world, &secret, near)).await;
        assert_eq!(code(refused), ErrorCode::InvalidOtp, "{near}");
    }
    world.advance(Duration::from_secs(60));
    world.login_with(ADMIN, PASSWORD, &otp(&world, &secret, 0)).await.unwrap();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_nobody_can_read_lets_nobody_in() {
    let world = World::new().await;
    world.execute("UPDATE directus_users SET tfa_secret = 'not base32!'").await;
    assert_eq!(code(world.login(ADMIN, PASSWORD).await), ErrorCode::InvalidOtp);
    assert_eq!(code(world.login_with(ADMIN, PASSWORD, "000000").await), ErrorCode::InvalidOtp);
    // An empty one is none, as the original leaves it.
    world.execute("UPDATE directus_users SET tfa_secret = ''").await;
    world.login(ADMIN, PASSWORD).await.unwrap();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessed_ones_are_counted_and_missing_ones_are_not() {
    let world = World::new().await;
    let secret = enabled(&world).await;
    let failed = "SELECT coalesce(sum(failed), 0)::bigint FROM eventus.logins";
    for _ in 0..3 {
        assert_eq!(code(world.login(ADMIN, PASSWORD).await), ErrorCode::InvalidOtp);
    }
    assert_eq!(world.count(failed).await, 0);
    for _ in 0..2 {
        assert_eq!(code(world.login_with(ADMIN, PASSWORD, "000000").await), ErrorCode::InvalidOtp);
    }
    assert_eq!(world.count(failed).await, 2);
    world.login_with(ADMIN, PASSWORD, &otp(&world, &secret, 0)).await.unwrap();
    assert_eq!(world.count(failed).await, 0);
    world.stop().await;
}
