//! The SchemaService: collections, fields and relations, read from PostgreSQL and its metadata tables.

use bytes::Bytes;
use model::Errors;
use proto::schema::v1 as pb;
use proto::schema::v1::schema_service_server::SchemaService;
use tonic::{Request, Response, Status};

use crate::catalog::{asyncapi, openapi};
use crate::permissions::mine;
use crate::state::State;
use blueprint::format::Format;
use blueprint::serve;

mod blueprint;
mod change;
mod collections;
mod ddl;
mod definition;
mod describe;
mod fields;
mod full_text;
mod geometry;
pub mod indexes;
mod meta;
mod relations;
pub mod search_indexes;

pub use blueprint::format::Format as DocumentFormat;
pub use blueprint::offline;
pub use blueprint::plan::Plan;

/// The service over the process's state.
#[derive(Clone)]
pub struct Schema(pub State);

type Answer = Result<Response<pb::JsonResponse>, Status>;
type Gone = Result<Response<pb::DeleteResponse>, Status>;

fn answer(result: Result<Vec<u8>, Errors>) -> Answer {
    let json = result.map_err(rpc::status)?;
    Ok(Response::new(pb::JsonResponse { json: Bytes::from(json) }))
}

fn gone(result: Result<(), Errors>) -> Gone {
    result.map(|()| Response::new(pb::DeleteResponse {})).map_err(rpc::status)
}

fn format(format: pb::Format) -> Format {
    match format {
        pb::Format::Unspecified => Format::Json,
        pb::Format::JsonIndented => Format::JsonIndented,
        pb::Format::Yaml => Format::Yaml,
    }
}

impl Schema {
    /// What the caller may see of the schema.
    async fn seen<T>(
        &self,
        request: &Request<T>,
        tell: impl FnOnce(&describe::View<'_>) -> Result<Vec<u8>, Errors>,
    ) -> Answer {
        let snapshot = self.0.snapshots.present();
        let access = self.0.rights.access(&rpc::caller(request).accountability, &snapshot.schema).await;
        let access = access.map_err(|error| rpc::status(error.into()))?;
        answer(tell(&describe::View::new(&snapshot, &access)))
    }
}

#[tonic::async_trait]
impl SchemaService for Schema {
    async fn list_collections(&self, request: Request<pb::ListCollectionsRequest>) -> Answer {
        self.seen(&request, |view| view.collections()).await
    }

    async fn get_collection(&self, request: Request<pb::CollectionRequest>) -> Answer {
        self.seen(&request, |view| view.collection(&request.get_ref().collection)).await
    }

    async fn create_collection(&self, request: Request<pb::CreateCollectionRequest>) -> Answer {
        rpc::require_admin(rpc::caller(&request))?;
        let caller = rpc::caller(&request).clone();
        answer(
            collections::create(
                &self.0,
                &caller,
                &request.get_ref().definition,
                request.get_ref().concurrent_indexes,
            )
            .await,
        )
    }

    async fn update_collection(&self, request: Request<pb::UpdateCollectionRequest>) -> Answer {
        rpc::require_admin(rpc::caller(&request))?;
        let caller = rpc::caller(&request).clone();
        let pb::UpdateCollectionRequest { collection, changes } = request.into_inner();
        answer(collections::update(&self.0, &caller, &collection, &changes).await)
    }

    async fn update_collections(&self, request: Request<pb::UpdateCollectionsRequest>) -> Answer {
        rpc::require_admin(rpc::caller(&request))?;
        let caller = rpc::caller(&request).clone();
        answer(collections::update_many(&self.0, &caller, &request.get_ref().changes).await)
    }

    async fn delete_collection(&self, request: Request<pb::CollectionRequest>) -> Gone {
        rpc::require_admin(rpc::caller(&request))?;
        let caller = rpc::caller(&request).clone();
        gone(collections::delete(&self.0, &caller, &request.get_ref().collection).await)
    }

    async fn list_fields(&self, request: Request<pb::ListFieldsRequest>) -> Answer {
        self.seen(&request, |view| view.fields(&request.get_ref().collection)).await
    }

    async fn get_field(&self, request: Request<pb::FieldRequest>) -> Answer {
        let pb::FieldRequest { collection, field } = request.get_ref();
        self.seen(&request, |view| view.field(collection, field)).await
    }

    async fn create_field(&self, request: Request<pb::CreateFieldRequest>) -> Answer {
        rpc::require_admin(rpc::caller(&request))?;
        let caller = rpc::caller(&request).clone();
        let pb::CreateFieldRequest { collection, definition, concurrent_indexes } = request.into_inner();
        answer(fields::create(&self.0, &caller, &collection, &definition, concurrent_indexes).await)
    }

    async fn update_field(&self, request: Request<pb::UpdateFieldRequest>) -> Answer {
        rpc::require_admin(rpc::caller(&request))?;
        let caller = rpc::caller(&request).clone();
        let pb::UpdateFieldRequest { collection, field, changes, concurrent_indexes } = request.into_inner();
        answer(fields::update(&self.0, &caller, &collection, &field, &changes, concurrent_indexes).await)
    }

    async fn update_fields(&self, request: Request<pb::UpdateFieldsRequest>) -> Answer {
        rpc::require_admin(rpc::caller(&request))?;
        let caller = rpc::caller(&request).clone();
        let pb::UpdateFieldsRequest { collection, changes } = request.into_inner();
        answer(fields::update_many(&self.0, &caller, &collection, &changes).await)
    }

    async fn delete_field(&self, request: Request<pb::FieldRequest>) -> Gone {
        rpc::require_admin(rpc::caller(&request))?;
        let caller = rpc::caller(&request).clone();
        let pb::FieldRequest { collection, field } = request.into_inner();
        gone(fields::delete(&self.0, &caller, &collection, &field).await)
    }

    async fn list_relations(&self, request: Request<pb::ListFieldsRequest>) -> Answer {
        self.seen(&request, |view| view.relations(&request.get_ref().collection)).await
    }

    async fn get_relation(&self, request: Request<pb::FieldRequest>) -> Answer {
        let pb::FieldRequest { collection, field } = request.get_ref();
        self.seen(&request, |view| view.relation(collection, field)).await
    }

    async fn update_relation(&self, request: Request<pb::UpdateFieldRequest>) -> Answer {
        rpc::require_admin(rpc::caller(&request))?;
        let caller = rpc::caller(&request).clone();
        let pb::UpdateFieldRequest { collection, field, changes, .. } = request.into_inner();
        answer(relations::update(&self.0, &caller, &collection, &field, &changes).await)
    }

    async fn delete_relation(&self, request: Request<pb::FieldRequest>) -> Gone {
        rpc::require_admin(rpc::caller(&request))?;
        let caller = rpc::caller(&request).clone();
        let pb::FieldRequest { collection, field } = request.into_inner();
        gone(relations::delete(&self.0, &caller, &collection, &field).await)
    }

    async fn get_permissions(&self, request: Request<pb::GetPermissionsRequest>) -> Answer {
        answer(mine::all(&self.0, rpc::caller(&request)).await)
    }

    async fn get_item_permissions(&self, request: Request<pb::GetItemPermissionsRequest>) -> Answer {
        let pb::GetItemPermissionsRequest { collection, key } = request.get_ref();
        answer(mine::of_item(&self.0, rpc::caller(&request), collection, key.as_deref()).await)
    }

    async fn get_globals(&self, request: Request<pb::GetPermissionsRequest>) -> Answer {
        answer(mine::globals(&self.0, rpc::caller(&request)).await)
    }

    async fn get_open_api(&self, request: Request<pb::GetOpenApiRequest>) -> Answer {
        let url = Some(request.get_ref().url.clone()).filter(|url| !url.is_empty());
        let about = openapi::About {
            title: "Eventus".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            url,
            everything: rpc::caller(&request).accountability.admin,
        };
        let document = openapi::document(&self.0.snapshots.present().catalog, &about);
        answer(Ok(document.to_string().into_bytes()))
    }

    async fn get_async_api(&self, request: Request<pb::GetAsyncApiRequest>) -> Answer {
        let caller = rpc::caller(&request);
        let asking = self.0.asking(caller).await.map_err(|error| rpc::status(error.into()))?;
        let about = asyncapi::About {
            version: env!("CARGO_PKG_VERSION"),
            prefix: &self.0.bus.config().prefix,
            everything: caller.accountability.admin,
        };
        let reads = |collection: &str| asking.access.allows(collection, access::Action::Read);
        let document = asyncapi::document(&self.0.snapshots.present().catalog, &about, reads);
        answer(Ok(document.to_string().into_bytes()))
    }

    async fn create_relation(&self, request: Request<pb::CreateRelationRequest>) -> Answer {
        rpc::require_admin(rpc::caller(&request))?;
        let caller = rpc::caller(&request).clone();
        answer(relations::create(&self.0, &caller, &request.get_ref().definition).await)
    }

    async fn get_snapshot(
        &self,
        request: Request<pb::GetSnapshotRequest>,
    ) -> Result<Response<pb::SnapshotResponse>, Status> {
        rpc::require_admin(rpc::caller(&request))?;
        let document = serve::snapshot(&self.0.snapshots.present(), format(request.get_ref().format()));
        let document = Bytes::from(document.map_err(rpc::status)?);
        Ok(Response::new(pb::SnapshotResponse { document }))
    }

    async fn diff_snapshot(
        &self,
        request: Request<pb::DiffSnapshotRequest>,
    ) -> Result<Response<pb::DiffSnapshotResponse>, Status> {
        rpc::require_admin(rpc::caller(&request))?;
        let message = request.get_ref();
        let present = self.0.snapshots.present();
        let diff = serve::diff(&present, &message.document, format(message.format()), message.force);
        let json = Bytes::from(diff.map_err(rpc::status)?.unwrap_or_default());
        Ok(Response::new(pb::DiffSnapshotResponse { json }))
    }

    async fn apply_diff(
        &self,
        request: Request<pb::ApplyDiffRequest>,
    ) -> Result<Response<pb::ApplyDiffResponse>, Status> {
        rpc::require_admin(rpc::caller(&request))?;
        let caller = rpc::caller(&request).clone();
        let message = request.get_ref();
        let applied = serve::apply(&self.0, &caller, &message.diff, format(message.format()), message.force);
        applied.await.map_err(rpc::status)?;
        Ok(Response::new(pb::ApplyDiffResponse {}))
    }
}
