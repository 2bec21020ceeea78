//! Making the bucket, as Milvus does on a fresh MinIO. The library has no call for it: one request, presigned.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::client::{ClientOptions, HttpConnector, HttpRequestBody, ReqwestConnector};
use object_store::path::Path;
use object_store::signer::Signer;
use types::{Code, Error};

use super::{REGION, S3Options, S3Store, misconfigured};
use crate::object::StoreError;

/// Of an answer that is quoted in an error.
const BODY_CHUNKS_MAX: usize = 4;

/// Makes the bucket; one that is ours already is no error.
pub(super) async fn create(store: &S3Store, options: &S3Options, client: &ClientOptions) -> Result<(), StoreError> {
    let unusable = |error| misconfigured(&store.place, &error);
    let unreached = |error| StoreError::Unavailable(Error::io(format!("making the bucket {}", store.place), error));
    let url = store.s3.signed_url(http::Method::PUT, &Path::ROOT, options.timeout).await.map_err(unusable)?;
    let request = http::Request::put(url.as_str()).body(HttpRequestBody::from(configuration(options)));
    let request = request.map_err(|error| StoreError::Misconfigured(Error::invalid(format!("{}: {error}", store.place))))?;
    let http = ReqwestConnector::default().connect(client).map_err(unusable)?;
    let answer = http.execute(request).await.map_err(unreached)?;
    let status = answer.status();
    if status.is_success() || status == http::StatusCode::CONFLICT {
        tracing::info!(bucket = %store.place, %status, "the bucket is there");
        return Ok(());
    }
    // What the gateway has to say, if it comes through.
    let body: Vec<Bytes> = answer.into_body().bytes_stream().take(BODY_CHUNKS_MAX).try_collect().await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body.concat()).into_owned();
    let text = format!("there is no bucket at {} and none can be made: {status} {body}: IO failed", store.place);
    Err(StoreError::Misconfigured(Error::new(Code::IO_FAILED, text)))
}

/// AWS wants every region but its first named in the body too.
fn configuration(options: &S3Options) -> String {
    match options.region.as_deref() {
        Some(region) if region != REGION && options.endpoint.is_none() => format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        ),
        _ => String::new(),
    }
}
