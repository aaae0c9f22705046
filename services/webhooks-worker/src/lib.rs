//! Being written.
#[derive(Debug)]
pub struct Config;
impl Config {
    pub fn from_env(_: &chassis::Env) -> Result<Self, chassis::ConfigError> {
        Ok(Self)
    }
}
pub struct Links {
    pub db: db::Db,
    pub bus: bus::Bus,
    pub signer: rpc::Signer,
    pub auth: rpc::Channel,
    pub clock: std::sync::Arc<dyn model::Clock>,
    pub ids: std::sync::Arc<dyn model::Ids>,
}
pub struct Face {
    pub grpc: Option<tokio::net::TcpListener>,
    pub local: rpc::LocalSlot,
}
pub async fn run(_: Config, _: Links, _: Face, runtime: chassis::Runtime) -> Result<(), std::io::Error> {
    runtime.shutdown.soft().cancelled().await;
    Ok(())
}
