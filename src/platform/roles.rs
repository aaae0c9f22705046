//! Hands each role its links and starts it.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use chassis::{BoxError, Runtime};
use rpc::LocalSlot;
use tokio::net::TcpListener;

use super::{Error, Settings, Wiring};
use crate::role::Role;

/// How often a starting role is looked at.
const BOUND: Duration = Duration::from_millis(5);

/// Starts a role. The process is not ready before the role has registered what it depends on and, if it serves
/// gRPC, can be called.
fn spawn<F, E>(runtime: &Runtime, role: Role, slot: Option<LocalSlot>, work: F)
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<BoxError> + Send + 'static,
{
    let begun = runtime.health.component(role.name());
    runtime.tasks.spawn_to_the_end(role.name(), async move {
        let mut work = Box::pin(work);
        if let Poll::Ready(done) = futures_util::poll!(&mut work) {
            return done;
        }
        let bound = async {
            while slot.as_ref().is_some_and(|slot| !slot.is_bound()) {
                tokio::time::sleep(BOUND).await;
            }
            begun.up();
            std::future::pending::<std::convert::Infallible>().await
        };
        tokio::select! {
            done = &mut work => done,
            never = bound => match never {},
        }
    });
}

fn signet(secret: &str, purpose: &str) -> Result<secrets::Signet, Error> {
    secrets::Signet::try_new(secret, purpose).map_err(|error| Error::part("SECRET", error))
}

pub(super) fn start(
    settings: Settings,
    wiring: &Wiring,
    http: Option<TcpListener>,
    runtime: &Runtime,
) -> Result<(), Error> {
    let (bus, signer) = (wiring.bus.clone(), wiring.signer.clone());
    let (clock, ids) = (Arc::clone(&wiring.clock), Arc::clone(&wiring.ids));
    if let Some(config) = settings.auth {
        start_auth(config, wiring, runtime)?;
    }
    if let Some(config) = settings.items {
        let links = items_service::Links {
            db: wiring.db()?,
            bus: bus.clone(),
            signer: signer.clone(),
            auth: wiring.channel(Role::Auth)?,
            hooks: wiring.channel(Role::Hooks)?,
            sealer: secrets::Sealer::try_new(&settings.secret)
                .map_err(|error| Error::part("SECRET", error))?,
            cursors: signet(&settings.secret, "cursors")?,
            places: secrets::Sealer::with_purpose(&settings.secret, "places of the log")
                .map_err(|error| Error::part("SECRET", error))?,
            requests: signet(&settings.secret, "requests")?,
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
        };
        let face = items_service::Face { grpc: None, local: wiring.slot(Role::Items) };
        spawn(
            runtime,
            Role::Items,
            Some(wiring.slot(Role::Items)),
            items_service::run(config, links, face, runtime.child()),
        );
    }
    start_workers(
        (settings.hooks, settings.analytics, settings.webhooks, settings.cdn_purge),
        wiring,
        runtime,
    )?;
    if let (Some(config), Some(listener)) = (settings.gateway, http) {
        let links = gateway::Links {
            bus,
            signer,
            items: wiring.channel(Role::Items)?,
            auth: wiring.channel(Role::Auth)?,
            hooks: wiring.channel(Role::Hooks)?,
            analytics: wiring.channel(Role::Analytics)?,
            webhooks: wiring.channel(Role::Webhooks)?,
            clock,
            ids,
        };
        spawn(runtime, Role::Gateway, None, gateway::run(config, links, listener, runtime.child()));
    }
    Ok(())
}

fn start_auth(config: auth_service::Config, wiring: &Wiring, runtime: &Runtime) -> Result<(), Error> {
    let links = auth_service::Links {
        db: wiring.db()?,
        bus: wiring.bus.clone(),
        items: wiring.channel(Role::Items)?,
        signer: wiring.signer.clone(),
        clock: Arc::clone(&wiring.clock),
        ids: Arc::clone(&wiring.ids),
    };
    let face = auth_service::Face { grpc: None, local: wiring.slot(Role::Auth) };
    let work = auth_service::run(config, links, face, runtime.child());
    spawn(runtime, Role::Auth, Some(wiring.slot(Role::Auth)), work);
    Ok(())
}

type WorkerConfigs = (
    Option<hooks_worker::Config>,
    Option<analytics_worker::Config>,
    Option<webhooks_worker::Config>,
    Option<cdn_purge_worker::Config>,
);

fn start_workers(configs: WorkerConfigs, wiring: &Wiring, runtime: &Runtime) -> Result<(), Error> {
    let (bus, signer) = (wiring.bus.clone(), wiring.signer.clone());
    let (clock, ids) = (Arc::clone(&wiring.clock), Arc::clone(&wiring.ids));
    let (hooks, analytics, webhooks, cdn_purge) = configs;
    if let Some(config) = hooks {
        let links = hooks_worker::Links {
            db: wiring.db()?,
            bus: bus.clone(),
            signer: signer.clone(),
            auth: wiring.channel(Role::Auth)?,
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
        };
        let face = hooks_worker::Face { grpc: None, local: wiring.slot(Role::Hooks) };
        spawn(
            runtime,
            Role::Hooks,
            Some(wiring.slot(Role::Hooks)),
            hooks_worker::run(config, links, face, runtime.child()),
        );
    }
    if let Some(config) = analytics {
        let links = analytics_worker::Links {
            db: wiring.db()?,
            bus: bus.clone(),
            signer: signer.clone(),
            auth: wiring.channel(Role::Auth)?,
            clock: Arc::clone(&clock),
        };
        let face = analytics_worker::Face { grpc: None, local: wiring.slot(Role::Analytics) };
        spawn(
            runtime,
            Role::Analytics,
            Some(wiring.slot(Role::Analytics)),
            analytics_worker::run(config, links, face, runtime.child()),
        );
    }
    if let Some(config) = webhooks {
        let links = webhooks_worker::Links {
            db: wiring.db()?,
            bus: bus.clone(),
            signer,
            auth: wiring.channel(Role::Auth)?,
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
        };
        let face = webhooks_worker::Face { grpc: None, local: wiring.slot(Role::Webhooks) };
        spawn(
            runtime,
            Role::Webhooks,
            Some(wiring.slot(Role::Webhooks)),
            webhooks_worker::run(config, links, face, runtime.child()),
        );
    }
    if let Some(config) = cdn_purge {
        let links = cdn_purge_worker::Links { db: wiring.db()?, bus, clock, ids };
        spawn(runtime, Role::CdnPurge, None, cdn_purge_worker::run(config, links, runtime.child()));
    }
    Ok(())
}
