//! Writes of users, by the one road that writes items: filter hooks are asked, rules followed, versions counted, events
//! appended. Where it was decided here who may do so, the items service is asked with every right, else as the caller.

use std::sync::Arc;

use model::{Accountability, Clock, Error as Told, Errors};
use proto::items::v1::items_service_client::ItemsServiceClient;
use proto::items::v1::update_items_request::Target;
use proto::items::v1::{Condition, CreateItemsRequest, Keys, ReadItemRequest, UpdateItemsRequest};
use proto::schema::v1::schema_service_client::SchemaServiceClient;
use proto::schema::v1::{GetItemPermissionsRequest, GetPermissionsRequest};
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

    /// Makes a user as the caller, if he may; gives his id.
    ///
    /// # Errors
    /// Those of the items service: 403, and as [`Self::create`].
    pub async fn create_as(&self, caller: &Caller, user: &Value) -> Result<Uuid, Errors> {
        let key = self.write(caller, user).await?;
        key.parse().map_err(|_| Told::internal().into())
    }

    /// Makes a user, with every right.
    ///
    /// # Errors
    /// Those of the items service: `RECORD_NOT_UNIQUE` when the address is taken, `FAILED_VALIDATION`, 503.
    pub async fn create(&self, caller: &Caller, by: Option<Uuid>, user: &Value) -> Result<(), Errors> {
        self.write(&vouched(caller, by), user).await.map(drop)
    }

    async fn write(&self, by: &Caller, user: &Value) -> Result<String, Errors> {
        let message = CreateItemsRequest {
            collection: "directus_users".to_owned(),
            payload: user.to_string().into(),
            query: only(&["id"]),
            ..CreateItemsRequest::default()
        };
        let request = rpc::outgoing(&self.signer, &*self.clock, by, message);
        let made = self.client().create_items(request).await.map_err(rpc::errors)?.into_inner();
        Ok(made.keys.into_iter().next().unwrap_or_default())
    }

    /// These fields of an item, as the caller may read them.
    ///
    /// # Errors
    /// Those of the items service: 403 where he sees no such item.
    pub async fn item(
        &self,
        caller: &Caller,
        collection: &str,
        key: &str,
        fields: &[&str],
    ) -> Result<Value, Errors> {
        let (collection, key) = (collection.to_owned(), key.to_owned());
        let message = ReadItemRequest { collection, key, query: only(fields), tags: false };
        let request = rpc::outgoing(&self.signer, &*self.clock, caller, message);
        let read = self.client().read_item(request).await.map_err(rpc::errors)?.into_inner();
        Ok(parsed(&read.item)?)
    }

    /// Whether the caller may make users at all.
    ///
    /// # Errors
    /// Those of the items service: 403 for the public.
    pub async fn may_create(&self, caller: &Caller) -> Result<bool, Errors> {
        let request = rpc::outgoing(&self.signer, &*self.clock, caller, GetPermissionsRequest {});
        let told = self.schema().get_permissions(request).await.map_err(rpc::errors)?.into_inner();
        let told = parsed(&told.json)?;
        Ok(told.pointer("/directus_users/create/access").is_some_and(|access| access != "none"))
    }

    /// Whether the caller may let others see an item.
    ///
    /// # Errors
    /// Those of the items service: 403 for the public.
    pub async fn may_share(&self, caller: &Caller, collection: &str, key: &str) -> Result<bool, Errors> {
        let message =
            GetItemPermissionsRequest { collection: collection.to_owned(), key: Some(key.to_owned()) };
        let request = rpc::outgoing(&self.signer, &*self.clock, caller, message);
        let told = self.schema().get_item_permissions(request).await.map_err(rpc::errors)?.into_inner();
        Ok(parsed(&told.json)?.pointer("/share/access") == Some(&Value::Bool(true)))
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
            query: only(&["id"]),
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
            query: only(&["id"]),
            tags: false,
        };
        let request = rpc::outgoing(&self.signer, &*self.clock, &vouched(caller, None), message);
        Ok(self.client().read_item(request).await.map_err(rpc::errors)?.into_inner().version)
    }

    fn schema(&self) -> SchemaServiceClient<Channel> {
        SchemaServiceClient::new(self.items.clone())
    }

    fn client(&self) -> ItemsServiceClient<Channel> {
        ItemsServiceClient::new(self.items.clone())
    }
}

/// Nothing is read but these fields.
fn only(fields: &[&str]) -> bytes::Bytes {
    let fields = fields.iter().map(|name| (*name).to_owned()).collect();
    Query { fields: Some(fields), ..Query::default() }.to_bytes().into()
}

fn parsed(json: &[u8]) -> Result<Value, Told> {
    serde_json::from_slice(json).map_err(|_| Told::internal())
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
