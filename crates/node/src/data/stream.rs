//! A writer's stream into a sequencer: requests in their order, answers as they come.

use base::World;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use role::data::{Outcome, STREAM_BOUND, WriteAnswer, WriteRequest, WriteStream};
use tokio::sync::mpsc;
use types::id::WriterId;
use wal::reader::Receipt;
use wal::writer::{self, Payload, Sequencer, WriteError};

/// Opens a stream; it ends when either side drops its ends, or after an answer that makes the writer begin again.
pub(super) fn open(world: &World, sequencer: Sequencer, writer: WriterId) -> WriteStream {
    let (requests, incoming) = mpsc::channel(STREAM_BOUND);
    let (outgoing, answers) = mpsc::channel(STREAM_BOUND);
    world.tasks.spawn(run(sequencer, writer, incoming, outgoing)).detach();
    WriteStream { requests, answers }
}

async fn run(sequencer: Sequencer, writer: WriterId, mut incoming: mpsc::Receiver<WriteRequest>, outgoing: mpsc::Sender<WriteAnswer>) {
    let mut waiting = FuturesUnordered::new();
    let mut open = true;
    while open || !waiting.is_empty() {
        let answer = tokio::select! {
            biased;
            Some(answer) = waiting.next() => answer,
            request = incoming.recv(), if open => match request {
                None => {
                    open = false;
                    continue;
                }
                Some(request) => {
                    let sequence = request.sequence;
                    match to_sequencer(writer, request) {
                        Ok(request) => {
                            let reply = sequencer.submit(request).await;
                            waiting.push(async move { answer(sequence, reply.await) });
                            continue;
                        }
                        Err(error) => WriteAnswer::Failed { sequence, refusal: (&error).into() },
                    }
                }
            },
        };
        if outgoing.send(answer).await.is_err() {
            return;
        }
    }
}

fn to_sequencer(writer: WriterId, request: WriteRequest) -> types::Result<writer::WriteRequest> {
    let WriteRequest { shard, sequence, lowest_outstanding, schema_version, kind, body } = request;
    let payload = Payload::decode(kind, body)?;
    Ok(writer::WriteRequest { writer, sequence, lowest_outstanding, shard, schema_version, payload })
}

fn answer(sequence: u64, result: Result<Receipt, WriteError>) -> WriteAnswer {
    match result {
        Ok(receipt) => WriteAnswer::Decided { sequence, outcome: Outcome::Written { timestamp: receipt.timestamp } },
        Err(WriteError::Refused { refusal, .. }) => WriteAnswer::Decided { sequence, outcome: Outcome::Refused(refusal) },
        Err(WriteError::NotSequencer) => WriteAnswer::NotSequencer,
        Err(WriteError::OutOfOrder { expected }) => WriteAnswer::OutOfOrder { expected },
        Err(WriteError::Busy(_)) => WriteAnswer::OutOfOrder { expected: sequence },
        Err(WriteError::UnknownWriter) => WriteAnswer::UnknownWriter,
        Err(WriteError::WriterExpired) => WriteAnswer::WriterExpired,
        Err(error @ (WriteError::AnswerForgotten | WriteError::Invalid(_) | WriteError::Stopped(_))) => {
            WriteAnswer::Failed { sequence, refusal: (&error.to_error()).into() }
        }
    }
}
