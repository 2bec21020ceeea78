//! Objects in an S3 bucket: AWS, MinIO, Ceph and what else speaks the protocol.
//!
//! Large objects go and come in parts. A conditional put carries an attempt's id in the object's metadata; where its answer is missing
//! or says "conflict", the object that is there is asked whose it is, so that the answer given here is the truth or an honest
//! "unknown". Start-up proves with two conflicting creates that the gateway honours `If-None-Match: *`: some accept and ignore it.
//!
//! The transport retries by itself (idempotent requests, requests that were refused for load); it runs on the real clock.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::client::{Certificate, ClientOptions};
use object_store::path::Path;
use object_store::{Attribute, AttributeValue, Attributes, BackoffConfig, Error as S3Error, GetOptions, ObjectStore, ObjectStoreExt};
use object_store::{PutMode, PutOptions, PutPayload, RetryConfig};
use types::{Code, Error};

use super::{ObjectInfo, Store, StoreError, beyond_the_end, check_name, check_prefix};
use crate::name::AttemptId;

mod bucket;

/// Bytes of one part of a large object: what one request carries.
const PART_BYTES: usize = 8 << 20;
/// Parts of one object: S3's own limit.
const PARTS_MAX: usize = 10_000;
/// Requests that one large get or put has under way.
const PARTS_IN_FLIGHT: usize = 4;
/// The largest object that can be put conditionally: it takes one request.
pub const PUT_IF_ABSENT_BYTES_MAX: usize = 256 << 20;
/// How often a conditional put that lost against nobody is tried again.
const CONFLICT_ATTEMPTS: u32 = 6;
/// Metadata of an object that was put conditionally.
const ATTEMPT_KEY: &str = "elanus-attempt";
/// S3's word for it, in an answer that else reads like a missing object.
const NO_BUCKET: &str = "NoSuchBucket";
/// S3's word for a request with a header that it doesn't know.
const UNKNOWN_HEADER: &str = "NotImplemented";
/// S3 asks for a region; MinIO and Ceph take any.
const REGION: &str = "us-east-1";

/// Which bucket, and how to reach it.
#[derive(Clone)]
pub struct S3Options {
    /// `http://host:port` or `https://…`; none for AWS's own.
    pub endpoint: Option<String>,
    /// None for [`REGION`].
    pub region: Option<String>,
    /// The bucket; made if it isn't there.
    pub bucket: String,
    /// Before every name: `<rootPath>/elanus`. May be empty.
    pub root: String,
    /// Access key and secret; none for what the environment or the machine's role gives.
    pub keys: Option<(String, String)>,
    /// The bucket's name is part of the host's instead of the path.
    pub virtual_host: bool,
    /// PEM of authorities that the system doesn't know.
    pub authorities: Option<Vec<u8>>,
    /// Of one request, which carries at most 8 MiB (a conditional put: all).
    pub timeout: Duration,
}

/// Without the secret.
impl std::fmt::Debug for S3Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { endpoint, region, bucket, root, virtual_host, timeout, .. } = self;
        write!(f, "bucket {bucket} at {endpoint:?} in {region:?} under {root:?} (virtual host: {virtual_host}, timeout {timeout:?})")
    }
}

/// A bucket. Clones share connections.
#[derive(Clone)]
pub struct S3Store {
    world: World,
    s3: Arc<AmazonS3>,
    root: String,
    /// What operators know the store by, for messages.
    place: String,
    /// How far the server's clock is ahead of ours, as seen at start-up.
    ahead_ms: i64,
}

impl S3Store {
    /// Connects, makes the bucket if it isn't there, and proves that conditional puts work.
    ///
    /// # Errors
    /// [`StoreError::Misconfigured`]: wrong keys, a bucket of others, a gateway that ignores `If-None-Match`.
    /// [`StoreError::Unavailable`]: can't be reached; wait and try again.
    pub async fn open(world: &World, options: &S3Options) -> Result<Self, StoreError> {
        check_prefix(&options.root)?;
        let place = options.endpoint.as_ref().map_or_else(|| options.bucket.clone(), |at| format!("{at}/{}", options.bucket));
        let client = client_options(options).map_err(|error| misconfigured(&place, &error))?;
        let s3 = builder(options, &client).build().map_err(|error| misconfigured(&place, &error))?;
        let mut store = Self { world: world.clone(), s3: Arc::new(s3), root: options.root.clone(), place, ahead_ms: 0 };
        if let Err(error) = store.probe().await {
            if !matches!(error, StoreError::Missing(_)) {
                return Err(error);
            }
            bucket::create(&store, options, &client).await?;
            store.probe().await?;
        }
        store.ahead_ms = store.probe_clock().await?;
        Ok(store)
    }

    /// The folders beside our root, which others fill: to name at start what Milvus left there. None of them is read.
    ///
    /// # Errors
    /// [`StoreError::Misconfigured`]: these keys may not see them. [`StoreError::Unavailable`]: can't be reached.
    pub async fn folders_beside(&self) -> Result<Vec<String>, StoreError> {
        let (above, own) = self.root.rsplit_once('/').unwrap_or(("", &self.root));
        let above = Path::parse(above).map_err(|error| StoreError::Misconfigured(Error::invalid(error)))?;
        let found = self.s3.list_with_delimiter(Some(&above)).await.map_err(|error| self.failed(above.as_ref(), error))?;
        let names = found.common_prefixes.iter().filter_map(|prefix| prefix.as_ref().rsplit('/').next());
        Ok(names.filter(|name| *name != own).map(str::to_owned).collect())
    }

    /// Two creates of one name: exactly one may win, and its object must say whose it is. [`StoreError::Missing`]: no such bucket.
    async fn probe(&self) -> Result<(), StoreError> {
        for _ in 0..CONFLICT_ATTEMPTS {
            let name = format!("probe/{}", AttemptId::draw(&self.world.random));
            let path = self.path(&name)?;
            let (first, second) = (AttemptId::draw(&self.world.random), AttemptId::draw(&self.world.random));
            let bytes = Bytes::from_static(b"probe");
            let answers = futures::join!(self.create(&path, &bytes, first), self.create(&path, &bytes, second));
            match answers {
                (Ok(()), Ok(())) => {
                    self.delete(&name).await?;
                    return Err(self.unfit("accepts If-None-Match on a put and ignores it: two creates of one name both succeeded"));
                }
                (Err(S3Error::AlreadyExists { .. }), Err(S3Error::AlreadyExists { .. })) => {}
                (Err(error @ S3Error::NotFound { .. }), Err(_)) => {
                    tracing::info!(bucket = %self.place, %error, "there is no bucket");
                    return Err(StoreError::Missing(self.place.clone()));
                }
                (Err(error), Err(_)) if error.to_string().contains(UNKNOWN_HEADER) => {
                    return Err(self.unfit(&format!("doesn't know If-None-Match on a put: {error}")));
                }
                (Err(error), Err(_)) => return Err(self.failed(&name, error)),
                (Ok(()), Err(_)) | (Err(_), Ok(())) => {
                    let winner = if answers.0.is_ok() { first } else { second };
                    let ours = self.is_ours(&path, winner).await.map_err(|error| self.failed(&name, error))?;
                    self.delete(&name).await?;
                    return if ours { Ok(()) } else { Err(self.unfit("doesn't keep an object's metadata")) };
                }
            }
        }
        Err(self.unfit("refuses every conditional put of a new name"))
    }

    fn unfit(&self, what: &str) -> StoreError {
        StoreError::Misconfigured(Error::new(Code::IO_FAILED, format!("the S3 store at {} {what}: IO failed", self.place)))
    }

    /// How far the server's clock is ahead, by the date that it gives a new object. Ages are measured in hours.
    async fn probe_clock(&self) -> Result<i64, StoreError> {
        let name = format!("probe/{}", AttemptId::draw(&self.world.random));
        self.put(&name, Bytes::new()).await?;
        let ours = self.world.clock.wall_ms();
        let meta = self.s3.head(&self.path(&name)?).await.map_err(|error| self.failed(&name, error))?;
        self.delete(&name).await?;
        Ok(meta.last_modified.timestamp_millis() - ours as i64)
    }

    fn path(&self, name: &str) -> Result<Path, StoreError> {
        check_name(name)?;
        let whole = if self.root.is_empty() { name.to_owned() } else { format!("{}/{name}", self.root) };
        Path::parse(&whole).map_err(|error| StoreError::Misconfigured(Error::invalid(format!("object name {name:?}: {error}"))))
    }

    fn info(&self, name: &str, meta: &object_store::ObjectMeta) -> ObjectInfo {
        let now = self.world.clock.wall_ms() as i64 + self.ahead_ms;
        let age = u64::try_from(now - meta.last_modified.timestamp_millis()).unwrap_or(0);
        ObjectInfo { name: name.to_owned(), length: meta.size, age: Duration::from_millis(age) }
    }

    fn failed(&self, name: &str, error: S3Error) -> StoreError {
        match error {
            S3Error::NotFound { ref source, .. } if source.to_string().contains(NO_BUCKET) => misconfigured(&self.place, &error),
            S3Error::NotFound { .. } => StoreError::Missing(name.to_owned()),
            S3Error::AlreadyExists { .. } | S3Error::Precondition { .. } => StoreError::Exists(name.to_owned()),
            S3Error::PermissionDenied { .. } | S3Error::Unauthenticated { .. } => misconfigured(&self.place, &error),
            error => {
                StoreError::Unavailable(Error::new(Code::IO_FAILED, format!("{name} of {}: {}: IO failed", self.place, causes(&error))))
            }
        }
    }

    /// One conditional put, as the gateway answers it.
    async fn create(&self, path: &Path, bytes: &Bytes, attempt: AttemptId) -> Result<(), S3Error> {
        let whose = (Attribute::Metadata(ATTEMPT_KEY.into()), AttributeValue::from(attempt.to_string()));
        let options = PutOptions { mode: PutMode::Create, attributes: Attributes::from_iter([whose]), ..PutOptions::default() };
        self.s3.put_opts(path, PutPayload::from_bytes(bytes.clone()), options).await.map(|_| ())
    }

    /// Whether the object that is there is this attempt's.
    async fn is_ours(&self, path: &Path, attempt: AttemptId) -> Result<bool, S3Error> {
        let found = self.s3.get_opts(path, GetOptions::new().with_head(true)).await?;
        let whose = found.attributes.get(&Attribute::Metadata(ATTEMPT_KEY.into()));
        Ok(whose.is_some_and(|whose| whose.as_ref() == attempt.to_string()))
    }

    async fn put_in_parts(&self, path: &Path, bytes: &Bytes) -> Result<(), S3Error> {
        let part_bytes = PART_BYTES.max(bytes.len().div_ceil(PARTS_MAX));
        let mut upload = self.s3.put_multipart(path).await?;
        let mut parts = Vec::new();
        for start in (0..bytes.len()).step_by(part_bytes) {
            parts.push(upload.put_part(bytes.slice(start..bytes.len().min(start + part_bytes)).into()));
        }
        let sent = futures::stream::iter(parts).buffer_unordered(PARTS_IN_FLIGHT).try_collect::<Vec<()>>().await;
        let done = match sent {
            Ok(_) => upload.complete().await.map(|_| ()),
            Err(error) => Err(error),
        };
        if done.is_err()
            && let Err(error) = upload.abort().await
        {
            tracing::warn!(object = %path, %error, "an unfinished upload stays in the bucket until its lifecycle rule removes it");
        }
        done
    }

    async fn get_in_parts(&self, path: &Path, length: u64) -> Result<Bytes, S3Error> {
        let starts = (0..length).step_by(PART_BYTES);
        let parts = starts.map(|start| self.s3.get_range(path, start..length.min(start + PART_BYTES as u64)));
        let parts: Vec<_> = parts.collect();
        let mut parts = futures::stream::iter(parts).buffered(PARTS_IN_FLIGHT);
        let mut whole = BytesMut::with_capacity(length as usize);
        while let Some(part) = parts.next().await {
            whole.extend_from_slice(&part?);
        }
        Ok(whole.freeze())
    }
}

fn misconfigured(place: &str, error: &S3Error) -> StoreError {
    StoreError::Misconfigured(Error::new(Code::IO_FAILED, format!("the S3 store at {place} can't be used: {}: IO failed", causes(error))))
}

/// An error with what caused it: a refused certificate hides behind "error sending request".
fn causes(error: &S3Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

fn client_options(options: &S3Options) -> Result<ClientOptions, S3Error> {
    let client = ClientOptions::new().with_timeout(options.timeout).with_connect_timeout(options.timeout).with_allow_http(true);
    let authorities = options.authorities.as_deref().map(Certificate::from_pem_bundle).transpose()?;
    Ok(authorities.into_iter().flatten().fold(client, ClientOptions::with_root_certificate))
}

fn builder(options: &S3Options, client: &ClientOptions) -> AmazonS3Builder {
    // What the machine's role gives is named by the environment; keys given here leave it out altogether.
    let builder = match &options.keys {
        Some((access, secret)) => AmazonS3Builder::new().with_access_key_id(access).with_secret_access_key(secret),
        None => AmazonS3Builder::from_env(),
    };
    let builder = builder
        .with_bucket_name(&options.bucket)
        .with_region(options.region.as_deref().unwrap_or(REGION))
        .with_virtual_hosted_style_request(options.virtual_host)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // Not every gateway has it, and each delete is followed by its own answer anyway.
        .with_disable_bulk_delete(true)
        .with_client_options(client.clone())
        .with_retry(RetryConfig { backoff: BackoffConfig::default(), max_retries: 5, retry_timeout: 4 * options.timeout });
    match &options.endpoint {
        Some(endpoint) => builder.with_endpoint(endpoint),
        None => builder,
    }
}

#[async_trait]
impl Store for S3Store {
    fn kind(&self) -> &'static str {
        "s3"
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        let path = self.path(name)?;
        let put = if bytes.len() > PART_BYTES {
            self.put_in_parts(&path, &bytes).await
        } else {
            self.s3.put(&path, PutPayload::from_bytes(bytes)).await.map(|_| ())
        };
        put.map_err(|error| self.failed(name, error))
    }

    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        let path = self.path(name)?;
        if bytes.len() > PUT_IF_ABSENT_BYTES_MAX {
            return Err(StoreError::Misconfigured(Error::internal(format!("{name}: a conditional put of {} bytes", bytes.len()))));
        }
        let attempt = AttemptId::draw(&self.world.random);
        let mut pause = Duration::from_millis(20);
        for _ in 0..CONFLICT_ATTEMPTS {
            let error = match self.create(&path, &bytes, attempt).await {
                Ok(()) => return Ok(()),
                Err(error) => self.failed(name, error),
            };
            if matches!(error, StoreError::Misconfigured(_) | StoreError::Missing(_)) {
                return Err(error);
            }
            // "Taken" may mean our own put, whose answer was lost and which the transport repeated.
            match self.is_ours(&path, attempt).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(StoreError::Exists(name.to_owned())),
                Err(S3Error::NotFound { .. }) if matches!(error, StoreError::Exists(_)) => {
                    // The one that we lost against failed, or is gone already.
                    self.world.clock.sleep(pause).await;
                    pause *= 2;
                }
                Err(_) => return Err(error),
            }
        }
        Err(StoreError::Exists(name.to_owned()))
    }

    async fn get(&self, name: &str) -> Result<Bytes, StoreError> {
        let path = self.path(name)?;
        let get = async {
            let found = self.s3.get(&path).await?;
            if found.meta.size <= PART_BYTES as u64 { found.bytes().await } else { self.get_in_parts(&path, found.meta.size).await }
        };
        get.await.map_err(|error| self.failed(name, error))
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = self.path(name)?;
        if range.start < range.end && range.end - range.start <= PART_BYTES as u64 {
            match self.s3.get_range(&path, range.clone()).await {
                Ok(bytes) if bytes.len() as u64 == range.end - range.start => return Ok(bytes),
                Err(error @ S3Error::NotFound { .. }) => return Err(self.failed(name, error)),
                // A range beyond the end is cut by some and refused by others: the length decides.
                Ok(_) | Err(_) => {}
            }
        }
        let info = self.head(name).await?;
        if range.start > range.end || range.end > info.length {
            return Err(beyond_the_end(name, &range, info.length));
        }
        let get = futures::stream::iter((range.start..range.end).step_by(PART_BYTES).collect::<Vec<_>>())
            .map(|start| self.s3.get_range(&path, start..range.end.min(start + PART_BYTES as u64)))
            .buffered(PARTS_IN_FLIGHT)
            .try_fold(BytesMut::new(), |mut whole, part| async move {
                whole.extend_from_slice(&part);
                Ok(whole)
            });
        get.await.map(BytesMut::freeze).map_err(|error| self.failed(name, error))
    }

    async fn head(&self, name: &str) -> Result<ObjectInfo, StoreError> {
        let meta = self.s3.head(&self.path(name)?).await.map_err(|error| self.failed(name, error))?;
        Ok(self.info(name, &meta))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        check_prefix(prefix)?;
        let whole: Vec<&str> = [self.root.as_str(), prefix].into_iter().filter(|part| !part.is_empty()).collect();
        let path = Path::parse(whole.join("/")).map_err(|error| StoreError::Misconfigured(Error::invalid(error)))?;
        let found: Vec<_> = self.s3.list(Some(&path)).try_collect().await.map_err(|error| self.failed(prefix, error))?;
        let skipped = if self.root.is_empty() { 0 } else { self.root.len() + 1 };
        let mut infos: Vec<_> =
            found.iter().filter_map(|meta| meta.location.as_ref().get(skipped..).map(|name| self.info(name, meta))).collect();
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(infos)
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        match self.s3.delete(&self.path(name)?).await {
            Ok(()) | Err(S3Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(name, error)),
        }
    }

    async fn map(&self, _name: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(None)
    }
}
