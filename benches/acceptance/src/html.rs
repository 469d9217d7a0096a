//! The report as one self-contained page: inline SVG, with light or dark colours as the reader prefers.

use std::fmt::Write;

use sequencer::bench;
use sequencer::bench::figure::Figure;
use sequencer::bench::report::Curve;
use sequencer::bench::series::{Series, shown};

use crate::report::{Report, met};

const STYLE: &str = include_str!("html/style.css");

/// Width and height of a chart's drawing.
const WIDTH: f64 = 540.0;
const HEIGHT: f64 = 280.0;
/// Room for the axes.
const LEFT: f64 = 62.0;
const BOTTOM: f64 = 34.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = 28.0;
/// The height of a bar of the throughput, and the step to the next.
const BAR: f64 = 18.0;
const BAR_STEP: f64 = 26.0;
/// Room for the subjects' names beside the bars.
const NAMES: f64 = 130.0;
/// Room for the figures beside the bars.
const FIGURES: f64 = 120.0;
/// Colours of subjects. No more subjects than these are measured at once.
const COLOURS: usize = 6;

/// Writing to a string cannot fail.
macro_rules! put {
    ($out:expr, $($part:tt)*) => { let _ = write!($out, $($part)*); };
}

/// The whole page.
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    put!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Sequencer: figures and bars</title><style>{STYLE}</style></head><body><main>\
         <h1>Sequencer: figures and bars</h1><p class=\"lead\">The service beside a raw echo, in one run. \
         Ratios are those within one round; the median of the rounds counts.</p>"
    );
    bars(&mut out, report);
    throughput(&mut out, &report.measured);
    latency(&mut out, &report.measured);
    figures(&mut out, &report.measured);
    setup(&mut out, &report.measured);
    out.push_str("</main></body></html>\n");
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn bars(out: &mut String, report: &Report) {
    out.push_str("<h2>Bars</h2><div class=\"wide\"><table><thead><tr><th>what<th class=\"n\">measured<th>met<th>bar</thead><tbody>");
    for bar in &report.bars {
        let class = match bar.met {
            Some(true) => "yes",
            Some(false) => "no",
            None => "none",
        };
        put!(
            out,
            "<tr><td>{}<td class=\"n\">{}<td class=\"{class}\">{}<td>{}",
            escape(&bar.what),
            escape(&bar.measured),
            met(bar.met).to_lowercase(),
            escape(&bar.bar)
        );
    }
    out.push_str("</tbody></table></div>");
}

/// One chart for each setting whose requests a second were measured.
fn throughput(out: &mut String, report: &bench::Report) {
    let drains: Vec<&Series> = report
        .series
        .iter()
        .filter(|series| series.key.figure == Figure::Rate && series.spread.is_some())
        .collect();
    if drains.is_empty() {
        return;
    }
    out.push_str("<h2>Throughput</h2><p>Requests a second, median of the rounds; the line spans least to most. Ratio: against the equal-bytes floor.</p><div class=\"charts\">");
    let mut done: Vec<(&str, &str)> = Vec::new();
    for series in &drains {
        let place = (series.key.scenario, series.key.setting.as_str());
        if done.contains(&place) {
            continue;
        }
        done.push(place);
        let chart: Vec<&Series> = drains
            .iter()
            .copied()
            .filter(|other| (other.key.scenario, other.key.setting.as_str()) == place)
            .collect();
        put!(
            out,
            "<figure><figcaption>{}, {}</figcaption>",
            escape(place.0),
            escape(place.1)
        );
        bar_chart(out, &chart);
        out.push_str("</figure>");
    }
    out.push_str("</div>");
}

fn bar_chart(out: &mut String, chart: &[&Series]) {
    let most = chart
        .iter()
        .filter_map(|series| series.spread)
        .map(|spread| spread.max)
        .fold(1.0, f64::max);
    let height = BAR_STEP * chart.len() as f64 + 4.0;
    put!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"requests a second\">"
    );
    let scale = (WIDTH - NAMES - FIGURES) / most;
    for (index, series) in chart.iter().enumerate() {
        let Some(spread) = series.spread else {
            continue;
        };
        let y = BAR_STEP * index as f64 + 4.0;
        let middle = y + BAR / 2.0;
        let at = |value: f64| NAMES + value * scale;
        let floor = if series.key.subject.contains("floor") || series.key.setting.contains("floor")
        {
            "floor"
        } else {
            "serve"
        };
        let ratio = series
            .ratio
            .map_or_else(String::new, |ratio| format!(" · {}", shown(ratio.median)));
        put!(
            out,
            "<text x=\"{}\" y=\"{}\" class=\"end\">{}</text>\
             <rect x=\"{NAMES}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\" class=\"{floor}\"/>\
             <path d=\"M{:.1} {middle}H{:.1}\" class=\"span\"/>\
             <text x=\"{:.1}\" y=\"{}\">{}{ratio}</text>",
            NAMES - 8.0,
            middle + 4.0,
            escape(&series.key.subject),
            spread.median * scale,
            at(spread.min),
            at(spread.max),
            at(spread.max) + 8.0,
            middle + 4.0,
            shown(spread.median),
        );
    }
    out.push_str("</svg>");
}

/// One chart for each rate.
fn latency(out: &mut String, report: &bench::Report) {
    if report.curves.is_empty() {
        return;
    }
    out.push_str("<h2>Latency</h2><p>From the moment a request was due to its reply, all rounds together, by quantile; both axes are logarithmic.</p><div class=\"charts\">");
    let mut done: Vec<&str> = Vec::new();
    for curve in &report.curves {
        if done.contains(&curve.setting.as_str()) {
            continue;
        }
        done.push(&curve.setting);
        let chart: Vec<&Curve> = report
            .curves
            .iter()
            .filter(|other| other.setting == curve.setting)
            .collect();
        put!(
            out,
            "<figure><figcaption>{}</figcaption>",
            escape(&curve.setting)
        );
        curve_chart(out, &chart);
        out.push_str("<ul class=\"legend\">");
        for (index, curve) in chart.iter().enumerate() {
            put!(
                out,
                "<li><i class=\"b{}\"></i>{}",
                index % COLOURS,
                escape(&curve.subject)
            );
        }
        out.push_str("</ul></figure>");
    }
    out.push_str("</div>");
}

fn curve_chart(out: &mut String, chart: &[&Curve]) {
    let points = || chart.iter().flat_map(|curve| curve.points.iter());
    let nines_max = points().map(|(nines, _)| *nines).fold(1.0, f64::max);
    let positive = || points().map(|(_, ms)| ms.max(0.01));
    let low = positive().fold(f64::INFINITY, f64::min).log10().floor();
    let high = positive().fold(0.0, f64::max).log10().ceil().max(low + 1.0);
    let x = |nines: f64| LEFT + nines / nines_max * (WIDTH - LEFT - RIGHT);
    let y = |ms: f64| {
        let share = (ms.max(0.01).log10() - low) / (high - low);
        HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
    };
    put!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"latency by quantile\">"
    );
    let mut decade = low;
    while decade <= high {
        let ms = 10_f64.powf(decade);
        let at = y(ms);
        put!(
            out,
            "<path d=\"M{LEFT} {at:.1}H{}\" class=\"grid\"/><text x=\"{}\" y=\"{:.1}\" class=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            duration(ms)
        );
        decade += 1.0;
    }
    for (nines, label) in [
        (0.0, "0"),
        (std::f64::consts::LOG10_2, "p50"),
        (1.0, "p90"),
        (2.0, "p99"),
        (3.0, "p99.9"),
        (4.0, "p99.99"),
    ] {
        if nines <= nines_max {
            put!(
                out,
                "<path d=\"M{0:.1} {TOP}V{1}\" class=\"grid\"/><text x=\"{0:.1}\" y=\"{2}\" class=\"middle\">{label}</text>",
                x(nines),
                HEIGHT - BOTTOM,
                HEIGHT - BOTTOM + 18.0
            );
        }
    }
    for (index, curve) in chart.iter().enumerate() {
        let mut path = String::new();
        for (index, (nines, ms)) in curve.points.iter().enumerate() {
            let move_or_line = if index == 0 { 'M' } else { 'L' };
            put!(path, "{move_or_line}{:.1} {:.1}", x(*nines), y(*ms));
        }
        put!(
            out,
            "<path d=\"{path}\" class=\"line c{}\"><title>{}, {} requests</title></path>",
            index % COLOURS,
            escape(&curve.subject),
            curve.requests
        );
    }
    out.push_str("</svg>");
}

/// A power of ten of milliseconds, for an axis.
fn duration(ms: f64) -> String {
    if ms >= 1000.0 {
        format!("{} s", ms / 1000.0)
    } else {
        format!("{ms:.2}")
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned()
            + " ms"
    }
}

fn figures(out: &mut String, report: &bench::Report) {
    out.push_str("<h2>Every figure</h2><details><summary>Least, median and most of the rounds</summary><div class=\"wide\"><table><thead><tr><th>scenario<th>setting<th>figure<th>subject<th class=\"n\">min<th class=\"n\">median<th class=\"n\">max<th class=\"n\">ratio<th>against</thead><tbody>");
    for series in &report.series {
        let Some(spread) = series.spread else {
            continue;
        };
        let ratio = series
            .ratio
            .map_or_else(String::new, |ratio| shown(ratio.median));
        put!(
            out,
            "<tr><td>{}<td>{}<td>{}<td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{ratio}<td>{}",
            escape(series.key.scenario),
            escape(&series.key.setting),
            escape(series.key.figure.as_str()),
            escape(&series.key.subject),
            shown(spread.min),
            shown(spread.median),
            shown(spread.max),
            escape(series.against.as_deref().unwrap_or_default())
        );
    }
    out.push_str("</tbody></table></div></details>");
}

fn setup(out: &mut String, report: &bench::Report) {
    out.push_str("<h2>Where and how</h2><div class=\"wide\"><table><tbody>");
    let machine = report.machine.lines();
    let machine = machine.iter().map(|(name, value)| (*name, value.as_str()));
    let settings = report.settings.iter();
    let settings = settings.map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in machine.chain(settings) {
        if !value.is_empty() {
            put!(out, "<tr><th>{}<td>{}", escape(name), escape(value));
        }
    }
    put!(
        out,
        "<tr><th>took<td>{} s</tbody></table></div>",
        shown(report.seconds)
    );
    for note in &report.notes {
        put!(out, "<p class=\"note\">{}</p>", escape(note));
    }
}
