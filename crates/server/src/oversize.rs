//! A request beyond the size that is allowed, answered as clients of Milvus expect it.
//!
//! The gRPC library refuses it as `OUT_OF_RANGE`, which SDKs take for passing and send the whole again, for minutes. Milvus's servers say
//! `RESOURCE_EXHAUSTED` and the text below, and no SDK repeats that.

use axum::response::Response;
use http::HeaderValue;

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";

/// Translates an answer that is such a refusal; leaves others as they are.
pub async fn translate(mut response: Response) -> Response {
    let out_of_range = tonic::Code::OutOfRange as i32;
    let headers = response.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text(STATUS).and_then(|status| status.parse().ok()) != Some(out_of_range) {
        return response;
    }
    let Some([received, allowed]) = text(MESSAGE).and_then(sizes) else { return response };
    let message = format!("grpc: received message larger than max ({received} vs. {allowed})").replace(' ', "%20");
    if let Ok(message) = HeaderValue::from_str(&message) {
        response.headers_mut().insert(STATUS, HeaderValue::from(tonic::Code::ResourceExhausted as i32));
        response.headers_mut().insert(MESSAGE, message);
    }
    response
}

/// What was sent and what is allowed, from the library's text, whose spaces may be escaped.
fn sizes(message: &str) -> Option<[u64; 2]> {
    let spaced = message.replace("%20", " ");
    if !spaced.contains("decoded message length too large") {
        return None;
    }
    let mut numbers = spaced.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
    Some([numbers.next()?, numbers.next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_the_library() {
        let text = "Error, decoded message length too large: found 139485586 bytes, the limit is: 134217728 bytes";
        assert_eq!(sizes(text), Some([139_485_586, 134_217_728]));
        assert_eq!(sizes(&text.replace(' ', "%20")), Some([139_485_586, 134_217_728]));
        assert_eq!(sizes("offset 7 of 9 is out of range"), None);
    }
}
