//! Whole objects, through kube's dynamic API.

use async_trait::async_trait;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value;

use crate::ports::bootstrap::{Applied, ClusterObjects, ClusterObjectsError, ObjectRef};

/// The field manager of our server-side applies.
const FIELD_MANAGER: &str = "roost-bootstrap";

/// Objects in the API that `client` is connected to.
pub struct ApiObjects {
    client: Client,
}

impl ApiObjects {
    /// Objects through a connected client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    fn api(&self, object: &ObjectRef) -> Api<DynamicObject> {
        let (group, version) = object.api_version.split_once('/').unwrap_or(("", &object.api_version));
        // The plural is derived by English rules, which are correct for every kind that bootstrap uses.
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &object.kind));
        match &object.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }
}

#[async_trait]
impl ClusterObjects for ApiObjects {
    async fn apply(&self, object: &Value) -> Result<Applied, ClusterObjectsError> {
        let name = ObjectRef::of(object).ok_or(ClusterObjectsError::NoObject)?;
        let api = self.api(&name);
        let version_of = |object: DynamicObject| object.metadata.resource_version;
        let before = api.get_metadata_opt(&name.name).await.map_err(|error| failed("get", &name, error))?;
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let after = api
            .patch(&name.name, &params, &Patch::Apply(object))
            .await
            .map_err(|error| failed("apply", &name, error))?;
        // The server does not change the resource version if an apply changes nothing.
        let same = before.and_then(|before| before.metadata.resource_version) == version_of(after);
        Ok(if same { Applied::Unchanged } else { Applied::Changed })
    }

    async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ClusterObjectsError> {
        let found = self.api(object).get_opt(&object.name).await.map_err(|error| failed("get", object, error))?;
        Ok(found.map(to_value))
    }

    async fn list(&self, kind: &ObjectRef, field_selector: &str) -> Result<Vec<Value>, ClusterObjectsError> {
        let mut params = ListParams::default();
        if !field_selector.is_empty() {
            params = params.fields(field_selector);
        }
        let list = self.api(kind).list(&params).await.map_err(|error| failed("list", kind, error))?;
        Ok(list.items.into_iter().map(to_value).collect())
    }

    async fn create(&self, object: &Value) -> Result<(), ClusterObjectsError> {
        let name = ObjectRef::of(object).ok_or(ClusterObjectsError::NoObject)?;
        let body: DynamicObject = serde_json::from_value(object.clone()).map_err(|_| ClusterObjectsError::NoObject)?;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        self.api(&name).create(&params, &body).await.map_err(|error| failed("create", &name, error))?;
        Ok(())
    }

    async fn own_groups(&self) -> Result<Vec<String>, ClusterObjectsError> {
        let name = ObjectRef::new("authentication.k8s.io/v1", "SelfSubjectReview", None, "self");
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = SelfSubjectReview::default();
        let answer =
            reviews.create(&PostParams::default(), &review).await.map_err(|error| failed("create", &name, error))?;
        Ok(answer.status.and_then(|status| status.user_info?.groups).unwrap_or_default())
    }

    async fn merge_patch(&self, object: &ObjectRef, patch: &Value) -> Result<(), ClusterObjectsError> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched = self.api(object).patch(&object.name, &params, &Patch::Merge(patch)).await;
        patched.map(drop).map_err(|error| failed("patch", object, error))
    }

    async fn delete(&self, object: &ObjectRef) -> Result<bool, ClusterObjectsError> {
        match self.api(object).delete(&object.name, &DeleteParams::default()).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(failed("delete", object, error)),
        }
    }
}

fn to_value(object: DynamicObject) -> Value {
    // A value deserialized from JSON can be serialized again.
    serde_json::to_value(object).unwrap_or_default()
}

fn failed(verb: &'static str, object: &ObjectRef, error: kube::Error) -> ClusterObjectsError {
    match error {
        kube::Error::Api(status) => {
            ClusterObjectsError::Refused { verb, object: object.clone(), code: status.code, message: status.message }
        }
        error => ClusterObjectsError::Unreachable { verb, object: object.clone(), source: Box::new(error) },
    }
}
