//! `eventus doctor`: looks at database, bus and log and says what is wrong and what to do.

use std::time::Duration;

use chassis::Env;

use crate::Error;

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    outcome: Result<String, String>,
}

/// Prints a line per finding; an error when any of them is bad.
pub async fn run(env: &Env) -> Result<(), Error> {
    let mut findings = Vec::new();
    match db::Config::from_env(env).map_err(|error| error.to_string()) {
        Ok(config) => database(&config, &mut findings).await,
        Err(error) => findings.push(Finding { what: "database address", outcome: Err(error) }),
    }
    match bus::Config::from_env(env).map_err(|error| error.to_string()) {
        Ok(config) => findings.push(Finding { what: "bus", outcome: bus_answers(&config).await }),
        Err(error) => findings.push(Finding { what: "bus address", outcome: Err(error) }),
    }
    findings.push(Finding { what: "SECRET", outcome: secret(env) });
    let mut bad = 0;
    for Finding { what, outcome } in &findings {
        match outcome {
            Ok(text) => println!("ok    {what}: {text}"),
            Err(text) => {
                bad += 1;
                println!("WRONG {what}: {text}");
            }
        }
    }
    if bad == 0 { Ok(()) } else { Err(Error::part("doctor", format!("{bad} things are wrong"))) }
}

fn secret(env: &Env) -> Result<String, String> {
    match env.get("SECRET") {
        Ok(Some(secret)) if secret.len() >= 32 => Ok("set".to_owned()),
        Ok(Some(_)) => Err("shorter than 32 characters: tokens could be forged by guessing it".to_owned()),
        Ok(None) => Err("not set: every process needs the same one".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

async fn database(config: &db::Config, findings: &mut Vec<Finding>) {
    let db = db::connect(config, "doctor");
    let one = |sql: &'static str| {
        let db = db.clone();
        async move {
            let answer = sqlx::query_scalar::<_, String>(sql).fetch_one(&db).await;
            answer.map_err(|error| error.to_string())
        }
    };
    let version = one("SELECT current_setting('server_version')").await;
    let reached = version.is_ok();
    findings.push(Finding { what: "PostgreSQL", outcome: version });
    if !reached {
        return;
    }
    let commit = one("SELECT current_setting('synchronous_commit')").await;
    let durable = commit.and_then(|value| match value.as_str() {
        "off" | "local" => Err(format!("synchronous_commit is {value}: acknowledged writes can be lost")),
        _ => Ok(value),
    });
    findings.push(Finding { what: "durability", outcome: durable });
    let migrated = db::migrated(&db).await.map_err(|error| error.to_string());
    let known = migrated.and_then(|done| match done {
        true => Ok("at the newest schema".to_owned()),
        false => Err("older than this program: run `eventus migrate`".to_owned()),
    });
    let ready = known.is_ok();
    findings.push(Finding { what: "migrations", outcome: known });
    if ready {
        log(one, findings).await;
    }
}

async fn log<F>(one: impl Fn(&'static str) -> F, findings: &mut Vec<Finding>)
where
    F: Future<Output = Result<String, String>>,
{
    let lag = "SELECT format('%s%s events behind (position %s)', \
               CASE WHEN w.oldest < now() - interval '30 seconds' THEN 'LATE: ' END, w.count, r.position) \
               FROM eventus.relay r, LATERAL (SELECT count(*) AS count, min(time) AS oldest FROM (SELECT e.time \
               FROM eventus.events e WHERE e.position > r.position ORDER BY e.position LIMIT 100000) e) w";
    let relay = one(lag).await.and_then(|said| match said.strip_prefix("LATE: ") {
        Some(said) => Err(format!(
            "{said}, some for longer than 30 s: no items service runs, or its relay stands still (its log and \
             `eventus_relay_stalled` say why)"
        )),
        None => Ok(said),
    });
    findings.push(Finding { what: "relay", outcome: relay });
    let dead = "SELECT count(*)::text FROM eventus.dead_letters";
    let dead = one(dead).await.and_then(|count| match count.as_str() {
        "0" => Ok("none".to_owned()),
        count => Err(format!("{count} events were given up by consumers: see eventus.dead_letters")),
    });
    findings.push(Finding { what: "dead letters", outcome: dead });
    let flows = "SELECT coalesce(string_agg(name, ', '), '') FROM directus_flows WHERE status = 'active'";
    let flows = one(flows).await.and_then(|names| match names.as_str() {
        "" => Ok("none active".to_owned()),
        names => Err(format!("active flows do not run yet: {names}")),
    });
    findings.push(Finding { what: "flows", outcome: flows });
}

async fn bus_answers(config: &bus::Config) -> Result<String, String> {
    let bus = bus::Bus::connect(config, "doctor").await.map_err(|error| error.to_string())?;
    let ready = tokio::time::timeout(Duration::from_secs(5), bus.ready()).await;
    ready.map_err(|_| "nats-server does not answer".to_owned())?.map_err(|error| error.to_string())?;
    Ok("connected".to_owned())
}
