//! Writes of users, by the one road that writes items: filter hooks are asked, rules followed, versions counted, events
//! appended. Who may do so was decided here, so the items service is asked with every right.

use std::sync::Arc;

use model::{Accountability, Clock, Error as Told, Errors};
use proto::items::v1::items_service_client::ItemsServiceClient;
use proto::items::v1::update_items_request::Target;
use proto::items::v1::{Condition, CreateItemsRequest, Keys, ReadItemRequest, UpdateItemsRequest};
use query::Query;
use rpc::{Caller, Channel, Signer};
use serde_json::Value;
use uuid::Uuid;

/// How this process calls itself.
const AUTH: &str = "auth";

/// Writes users through the items service.
#[derive(Debug, Clone)]
pub struct Users {
    items: Channel,
    signer: Signer,
    clock: Arc<dyn Clock>,
}

impl Users {
    /// Over `items`.
    pub fn new(items: Channel, signer: Signer, clock: Arc<dyn Clock>) -> Self {
        Self { items, signer, clock }
    }

    /// Makes a user.
    ///
    /// # Errors
    /// Those of the items service: `RECORD_NOT_UNIQUE` when the address is taken, `FAILED_VALIDATION`, 503.
    pub async fn create(&self, caller: &Caller, by: Option<Uuid>, user: &Value) -> Result<(), Errors> {
        let message = CreateItemsRequest {
            collection: "directus_users".to_owned(),
            payload: user.to_string().into(),
            query: only_key(),
            ..CreateItemsRequest::default()
        };
        let request = rpc::outgoing(&self.signer, &*self.clock, &vouched(caller, by), message);
        self.client().create_items(request).await.map_err(rpc::errors)?;
        Ok(())
    }

    /// Changes a user; with a version only if he is still at it.
    ///
    /// # Errors
    /// Those of the items service: `PRECONDITION_FAILED` when he is at another version, 422 for the last administrator.
    pub async fn update(
        &self,
        caller: &Caller,
        by: Option<Uuid>,
        user: Uuid,
        changes: &Value,
        version: Option<i64>,
    ) -> Result<(), Errors> {
        let message = UpdateItemsRequest {
            collection: "directus_users".to_owned(),
            target: Some(Target::Keys(Keys { keys: vec![user.to_string()] })),
            payload: changes.to_string().into(),
            query: only_key(),
            condition: version.map(|version| Condition { exists: false, versions: vec![version] }),
            ..UpdateItemsRequest::default()
        };
        let request = rpc::outgoing(&self.signer, &*self.clock, &vouched(caller, by), message);
        let done = self.client().update_items(request).await.map_err(rpc::errors)?.into_inner();
        if done.keys.is_empty() { Err(Told::forbidden().into()) } else { Ok(()) }
    }

    /// The version of a user now, for the condition of a change.
    ///
    /// # Errors
    /// Those of the items service.
    pub async fn version(&self, caller: &Caller, user: Uuid) -> Result<i64, Errors> {
        let message = ReadItemRequest {
            collection: "directus_users".to_owned(),
            key: user.to_string(),
            query: only_key(),
            tags: false,
        };
        let request = rpc::outgoing(&self.signer, &*self.clock, &vouched(caller, None), message);
        Ok(self.client().read_item(request).await.map_err(rpc::errors)?.into_inner().version)
    }

    fn client(&self) -> ItemsServiceClient<Channel> {
        ItemsServiceClient::new(self.items.clone())
    }
}

/// Nothing is read back but the key.
fn only_key() -> bytes::Bytes {
    Query { fields: Some(vec!["id".to_owned()]), ..Query::default() }.to_bytes().into()
}

/// The same request, by this process or by somebody that it vouches for. Whatever session he has is not spared.
fn vouched(caller: &Caller, by: Option<Uuid>) -> Caller {
    let Accountability { ip, user_agent, origin, .. } = caller.accountability.clone();
    let process = Accountability::process(AUTH);
    Caller {
        accountability: Accountability { user: by, ip, user_agent, origin, ..process },
        ..caller.clone()
    }
}
