//! A writer's stream over gRPC: two bounded channels on each side, and the wire between them.
//!
//! Whatever breaks ends both directions; the writer opens another stream and sends again (`docs/protocol.md` §2).

use std::sync::Arc;
use std::time::Duration;

use base::World;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use proto::elanus::role::{Envelope, StreamMessage, StreamOpen, stream_message::Message};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};
use types::id::{ChannelName, WriterId};
use types::record::Refusal;
use types::{Error, Result};

use super::MESSAGE_BYTES_MAX;
use super::client::{Peer, client};
use super::wire::{Json, Wire};
use crate::Call;
use crate::data::{DataNode, STREAM_BOUND, WriteAnswer, WriteRequest, WriteStream};
use proto::elanus::role as wire_proto;

/// How long a server gives the role to open a stream.
const OPEN_MAX: Duration = Duration::from_secs(5);

/// An error of the role, which the other side finds again with its code: it decides what becomes of requests.
fn refused(error: &Error) -> Status {
    let details = serde_json::to_vec(&Refusal::from(error)).unwrap_or_default();
    Status::with_details(tonic::Code::FailedPrecondition, error.reason(), details.into())
}

/// What the client makes of a stream that wasn't opened.
fn reason(peer: &Peer, status: &Status) -> Error {
    match serde_json::from_slice::<Refusal>(status.details()) {
        Ok(refusal) if status.code() == tonic::Code::FailedPrecondition => refusal.to_error(),
        _ => peer.failed(status),
    }
}

/// The server's side.
pub(super) async fn serve_stream(
    world: &World,
    role: Arc<dyn DataNode>,
    mut messages: Streaming<StreamMessage>,
) -> Result<BoxStream<'static, Result<Envelope, Status>>, Status> {
    let Some(StreamMessage { message: Some(Message::Open(open)) }) = messages.message().await? else {
        return Err(Status::invalid_argument("a write stream begins with whose it is"));
    };
    let call = Call::within(world, OPEN_MAX, "write stream");
    let stream =
        role.open_stream(&call, &ChannelName::from(open.channel.as_str()), WriterId(open.writer)).await.map_err(|error| refused(&error))?;
    let WriteStream { requests, answers } = stream;
    let feeding = world.tasks.spawn(async move {
        while let Ok(Some(StreamMessage { message: Some(Message::Request(envelope)) })) = messages.message().await {
            let Ok(request) = WriteRequest::unpack(envelope) else { return };
            if requests.send(request).await.is_err() {
                return;
            }
        }
    });
    // The task goes with the stream of answers: when the client drops that, nobody feeds on.
    let answers = ReceiverStream::new(answers).map(move |answer| {
        let _owner = &feeding;
        Ok(Json(answer).pack())
    });
    Ok(answers.boxed())
}

/// The client's side.
pub(super) async fn open_stream(peer: &Peer, call: &Call, channel: &ChannelName, writer: WriterId) -> Result<WriteStream> {
    let (requests, mut to_send) = mpsc::channel::<WriteRequest>(STREAM_BOUND);
    let (received, answers) = mpsc::channel::<WriteAnswer>(STREAM_BOUND);
    let open = StreamMessage { message: Some(Message::Open(StreamOpen { channel: channel.to_string(), writer: writer.0 })) };
    let (messages, outgoing) = mpsc::channel::<StreamMessage>(STREAM_BOUND);
    messages.try_send(open).expect("the channel is new and bounded above one");
    let opening = async {
        let mut client = client!(peer.channel(), data_node_client, DataNodeClient);
        client.open_stream(Request::new(ReceiverStream::new(outgoing))).await.map_err(|status| reason(peer, &status))
    };
    let mut incoming = call.bound(&peer.address, opening).await?.into_inner();
    let sending = async move {
        while let Some(request) = to_send.recv().await {
            if messages.send(StreamMessage { message: Some(Message::Request(request.pack())) }).await.is_err() {
                return;
            }
        }
    };
    let receiving = async move {
        while let Ok(Some(envelope)) = incoming.try_next().await {
            let Ok(Json(answer)) = Json::unpack(envelope) else { return };
            if received.send(answer).await.is_err() {
                return;
            }
        }
    };
    // Both ends go together: the writer sees its channels close, and opens another stream.
    let both = async move {
        tokio::select! {
            biased;
            () = receiving => {}
            () = sending => {}
        }
    };
    peer.world.tasks.spawn(both).detach();
    Ok(WriteStream { requests, answers })
}
