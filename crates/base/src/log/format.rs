//! One event, one line: `time=… level=info target=… message="…" key=value`, or the same as one JSON object.
//!
//! The fields of the spans around an event come after its own, the innermost first. A line never contains a line break: they are escaped.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::{Civil, Clock};

/// What a line looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// `key=value`, separated by spaces; values with spaces, quotes or `=` are quoted.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Formats whole events.
pub(super) struct Line {
    pub(super) format: Format,
    pub(super) clock: Clock,
}

/// Formats the fields of events and spans, each with its separator before it.
pub(super) struct Fields(pub(super) Format);

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let time = Civil::from_ms(self.clock.wall_ms());
        let level = match *metadata.level() {
            tracing::Level::ERROR => "error",
            tracing::Level::WARN => "warn",
            tracing::Level::INFO => "info",
            tracing::Level::DEBUG => "debug",
            tracing::Level::TRACE => "trace",
        };
        let target = metadata.target();
        match self.format {
            Format::Text => write!(writer, "time={time} level={level} target={target}")?,
            Format::Json => write!(writer, r#"{{"time":"{time}","level":"{level}","target":"{target}""#)?,
        }
        context.format_fields(writer.by_ref(), event)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                writer.write_str(fields)?;
            }
        }
        writer.write_str(if self.format == Format::Json { "}\n" } else { "\n" })
    }
}

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = FieldVisitor { format: self.0, writer, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct FieldVisitor<'writer> {
    format: Format,
    writer: Writer<'writer>,
    result: fmt::Result,
}

impl FieldVisitor<'_> {
    /// A value that is the same in both formats and needs no quotes.
    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        if self.result.is_ok() {
            self.result = match self.format {
                Format::Text => write!(self.writer, " {}={value}", field.name()),
                Format::Json => write!(self.writer, ",{}:{value}", quoted(field.name())),
            };
        }
    }

    fn text(&mut self, field: &Field, value: &str) {
        if self.format == Format::Json || needs_quotes(value) {
            self.plain(field, quoted(value));
        } else {
            self.plain(field, value);
        }
    }
}

impl Visit for FieldVisitor<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.plain(field, value);
        } else {
            self.text(field, &value.to_string());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field, &value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}

fn needs_quotes(value: &str) -> bool {
    value.is_empty() || value.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '=' | '\\'))
}

/// A JSON string.
fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            // U+2028 and U+2029 break lines for some readers.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => drop(write!(text, "\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}
