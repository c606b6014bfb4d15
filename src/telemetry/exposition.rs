//! Writes the Prometheus text format 0.0.4.
//!
//! Names and labels match upstream's exactly (including counters without `_total`) and samples may have timestamps,
//! which libraries that follow OpenMetrics do not support.

use std::fmt::Write;

/// Content type of the text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// Kind of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Counts of observations by buckets.
    Histogram,
}

/// A page of metrics that is being written.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// Starts a metric family; its samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.text.push_str("# HELP ");
        self.text.push_str(name);
        self.text.push(' ');
        escape(&mut self.text, help, false);
        self.text.push_str("\n# TYPE ");
        self.text.push_str(name);
        self.text.push(' ');
        self.text.push_str(kind);
        self.text.push('\n');
    }

    /// Adds a sample; `at_millis` is its timestamp, `None` for now.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64, at_millis: Option<i64>) {
        self.text.push_str(name);
        for (i, (key, text)) in labels.iter().enumerate() {
            self.text.push(if i == 0 { '{' } else { ',' });
            self.text.push_str(key);
            self.text.push_str("=\"");
            escape(&mut self.text, text, true);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.text.push(' ');
        push_number(&mut self.text, value);
        if let Some(at) = at_millis {
            // Writing into a String cannot fail.
            let _ = write!(self.text, " {at}");
        }
        self.text.push('\n');
    }

    pub fn finish(self) -> String {
        self.text
    }
}

/// Formats a number as Go's client does: shortest form, with exponents from 1e21 on.
pub fn push_number(out: &mut String, value: f64) {
    let written = if value == f64::INFINITY {
        out.push_str("+Inf");
        return;
    } else if value == f64::NEG_INFINITY {
        out.push_str("-Inf");
        return;
    } else if value != 0.0 && (value.abs() >= 1e21 || value.abs() < 1e-6) {
        write!(out, "{value:e}")
    } else {
        write!(out, "{value}")
    };
    let _ = written;
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_valid_text_format_with_hostile_labels() {
        let mut page = Page::default();
        page.family("x_total", Kind::Counter, "Of\nall \"things\".");
        page.sample("x_total", &[("a", "q\"\\\n"), ("b", "")], 3.0, Some(1700000000123));
        page.sample("x_total", &[], 0.5, None);
        assert_eq!(
            page.finish(),
            "# HELP x_total Of\\nall \"things\".\n# TYPE x_total counter\nx_total{a=\"q\\\"\\\\\\n\",b=\"\"} 3 1700000000123\nx_total 0.5\n"
        );
    }

    #[test]
    fn numbers_are_shortest_and_infinities_are_spelled_out() {
        let text = |value| {
            let mut out = String::new();
            push_number(&mut out, value);
            out
        };
        assert_eq!(text(f64::INFINITY), "+Inf");
        assert_eq!(text(1e-9), "1e-9");
        assert_eq!(text(0.0), "0");
        assert_eq!(text(12884901888.0), "12884901888");
    }
}
