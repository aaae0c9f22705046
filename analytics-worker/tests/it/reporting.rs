//! `Metrics`: who may ask, for what, and in which order the answer comes.

use model::Accountability;
use proto::analytics::v1::MetricsRequest;
use tonic::Code;

use crate::world::World;

fn admin() -> Accountability {
    Accountability { admin: true, ..Accountability::default() }
}

fn query(from: &str, to: &str, collection: &str, action: &str) -> MetricsRequest {
    let [from, to, collection, action] = [from, to, collection, action].map(str::to_owned);
    MetricsRequest { from, to, collection, action }
}

#[tokio::test]
async fn metrics_are_filtered_and_ordered() {
    let world = World::start().await;
    let fill = "INSERT INTO eventus.analytics_daily VALUES
                ('2026-01-02', 'b', 'create', 1), ('2026-01-02', 'B', 'update', 2), ('2026-01-02', 'B', 'create', 3),
                ('2026-01-01', 'b', 'create', 4), ('2025-12-31', 'b', 'delete', 5000000000)";
    sqlx::query(fill).execute(&world.db).await.unwrap();
    let worker = world.worker().await;
    let asked = async |from: &str, to: &str, collection: &str, action: &str| {
        let metrics = worker.metrics(admin(), query(from, to, collection, action)).await.unwrap();
        let line =
            |m: &proto::analytics::v1::Metric| format!("{} {} {} {}", m.day, m.collection, m.action, m.count);
        metrics.iter().map(line).collect::<Vec<_>>()
    };
    let all = [
        "2025-12-31 b delete 5000000000",
        "2026-01-01 b create 4",
        "2026-01-02 B create 3",
        "2026-01-02 B update 2",
        "2026-01-02 b create 1",
    ];
    assert_eq!(asked("", "", "", "").await, all);
    assert_eq!(asked("2026-01-01", "", "", "").await, all[1..]);
    assert_eq!(asked("", "2026-01-01", "", "").await, all[..2]);
    assert_eq!(asked("2026-01-01", "2026-01-01", "", "").await, all[1..2]);
    assert_eq!(asked("", "", "B", "").await, all[2..4]);
    assert_eq!(asked("", "", "b", "create").await, [all[1], all[4]]);
    assert!(asked("2027-01-01", "", "", "").await.is_empty());
    assert!(asked("", "", "' OR true --", "").await.is_empty());
    worker.stop().await;
}

#[tokio::test]
async fn only_admins_may_ask_and_only_for_days() {
    let world = World::start().await;
    let worker = world.worker().await;
    let refused = worker.metrics(Accountability::default(), query("", "", "", "")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    for (from, to) in [("yesterday", ""), ("", "2026-02-30"), ("2026-01-02", "2026-01-01")] {
        let refused = worker.metrics(admin(), query(from, to, "", "")).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{from} {to}");
        assert_eq!(rpc::errors(refused).0[0].code, model::ErrorCode::InvalidQuery);
    }
    let many = "INSERT INTO eventus.analytics_daily
                SELECT '2026-01-01', 'c' || n, 'create', 1 FROM generate_series(1, 20001) AS n";
    sqlx::query(many).execute(&world.db).await.unwrap();
    let refused = worker.metrics(admin(), query("", "", "", "")).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    sqlx::query("DELETE FROM eventus.analytics_daily WHERE collection = 'c1'")
        .execute(&world.db)
        .await
        .unwrap();
    assert_eq!(worker.metrics(admin(), query("", "", "", "")).await.unwrap().len(), 20_000);
    worker.stop().await;
}
