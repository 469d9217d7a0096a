//! Charts of the last minutes, as SVG with axes, units and a legend.

use maud::{Markup, html};

use super::history::{Point, SHOWN_MS};
use super::text::{milliseconds, rate};

/// The drawing's own units. On a wide screen and on a phone, one of them is about a pixel.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 170.0;
/// The edges of the plot between the axes.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 462.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 144.0;
/// Most lines across the plot, apart from the bottom.
const LINES_MAX: f64 = 4.0;
const MINUTE_MS: u64 = 60_000;

/// The lowest latency that has a place of its own, in milliseconds.
const LOWEST: f64 = 0.1;

/// How values are spread over the height of a plot.
#[derive(Clone, Copy)]
enum Scale {
    /// From 0 on, in equal steps.
    Linear,
    /// By powers of ten: a pause of a second leaves milliseconds readable.
    Powers,
}

/// A line of a chart.
struct Series<'a> {
    /// The class, which has its colour and its dashes.
    class: &'a str,
    /// The text of the legend.
    name: &'a str,
    value: fn(&Point) -> Option<f64>,
}

/// Both charts, up to this time.
pub(super) fn section(points: &[Point], now_ms: u64) -> Markup {
    let last = points.last();
    html! {
        section #charts aria-labelledby="flow" {
            h2 #flow { "Rate and latency of this instance" }
            @if points.is_empty() {
                p.note { "The first point comes some seconds after the start." }
            } @else {
                div.plots {
                    figure {
                        figcaption {
                            "Answered requests a second: " b #rate-now { (rate(last.map(|point| point.rate))) }
                        }
                        (plot("rate", "requests/s", points, now_ms, Scale::Linear, &[
                            Series { class: "first", name: "requests/s", value: |point| Some(point.rate) },
                        ]))
                    }
                    figure {
                        figcaption {
                            "Latency from the broker's timestamp to the acknowledged reply: median "
                            b #p50-now { (milliseconds(last.and_then(|point| point.p50_ms))) }
                            ", 99 % within "
                            b #p99-now { (milliseconds(last.and_then(|point| point.p99_ms))) }
                        }
                        (plot("latency", "ms", points, now_ms, Scale::Powers, &[
                            Series { class: "first", name: "median", value: |point| point.p50_ms },
                            Series { class: "second", name: "99 % within", value: |point| point.p99_ms },
                        ]))
                    }
                }
            }
        }
    }
}

fn plot(
    id: &str,
    unit: &str,
    points: &[Point],
    now_ms: u64,
    scale: Scale,
    series: &[Series<'_>],
) -> Markup {
    let values = series
        .iter()
        .flat_map(|series| points.iter().filter_map(series.value));
    let values: Vec<f64> = values.collect();
    let lines = scale.lines(&values);
    let y = |value: f64| BOTTOM - (BOTTOM - TOP) * scale.share(value, &lines);
    let highest = values.iter().copied().fold(0.0, f64::max);
    let label = format!(
        "{unit} over the last {} minutes, highest {highest:.1}",
        SHOWN_MS / MINUTE_MS
    );
    html! {
        svg id=(id) viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(label) {
            @for value in &lines {
                line.grid x1=(LEFT) x2=(RIGHT) y1=(round(y(*value))) y2=(round(y(*value))) {}
                text.value x=(LEFT - 6.0) y=(round(y(*value) + 4.0)) { (axis_label(*value)) }
            }
            @for minutes in 0..=SHOWN_MS / MINUTE_MS {
                @let x = x(now_ms.saturating_sub(minutes * MINUTE_MS), now_ms);
                line.grid x1=(round(x)) x2=(round(x)) y1=(BOTTOM) y2=(BOTTOM + 4.0) {}
                text.time x=(round(x)) y=(BOTTOM + 22.0) {
                    @if minutes == 0 { "now" } @else { "−" (minutes) " min" }
                }
            }
            @for series in series {
                path class=(series.class) d=(path(points, now_ms, series.value, y)) {}
            }
        }
        p.legend {
            @for series in series {
                span {
                    svg.key viewBox="0 0 24 8" aria-hidden="true" {
                        path class=(series.class) d="M1 4H23" {}
                    }
                    (series.name) @if series.name != unit { " (" (unit) ")" }
                }
            }
        }
    }
}

impl Scale {
    /// The values of the lines across the plot, the lowest at its bottom and the highest at its top.
    fn lines(self, values: &[f64]) -> Vec<f64> {
        let highest = values.iter().copied().fold(0.0, f64::max);
        match self {
            Scale::Linear => {
                let step = step(highest);
                let count = (highest / step).ceil().max(1.0);
                multiples(step, count * step).collect()
            }
            Scale::Powers => {
                let known = values.iter().copied().filter(|value| *value > 0.0);
                let lowest = known.fold(highest, f64::min).max(LOWEST);
                let from = lowest.log10().floor();
                let to = highest.max(lowest).log10().ceil().max(from + 1.0);
                let exponents = multiples(1.0, to - from).map(|exponent| from + exponent);
                exponents.map(|exponent| 10.0_f64.powf(exponent)).collect()
            }
        }
    }

    /// The height of a value, as a share of the plot's.
    fn share(self, value: f64, lines: &[f64]) -> f64 {
        let (Some(bottom), Some(top)) = (lines.first(), lines.last()) else {
            return 0.0;
        };
        match self {
            Scale::Linear => value / top,
            Scale::Powers => (value.max(*bottom) / bottom).log10() / (top / bottom).log10(),
        }
    }
}

/// The path of a series. It is interrupted where a value is missing, and a lone value is a dot.
fn path(
    points: &[Point],
    now_ms: u64,
    value: fn(&Point) -> Option<f64>,
    y: impl Fn(f64) -> f64,
) -> String {
    let shown = points.iter().filter(|point| {
        let age_ms = now_ms.saturating_sub(point.unix_ms);
        age_ms <= SHOWN_MS
    });
    let mut steps = String::new();
    let mut is_down = false;
    for point in shown {
        let Some(value) = value(point) else {
            is_down = false;
            continue;
        };
        let (x, y) = (round(x(point.unix_ms, now_ms)), round(y(value)));
        steps += &match is_down {
            true => format!("L{x} {y}"),
            // The line of length 0 makes a lone value a dot.
            false => format!("M{x} {y}h0"),
        };
        is_down = true;
    }
    steps
}

#[allow(clippy::cast_precision_loss, reason = "places in a drawing")]
fn x(unix_ms: u64, now_ms: u64) -> f64 {
    let age_ms = now_ms.saturating_sub(unix_ms).min(SHOWN_MS);
    RIGHT - (RIGHT - LEFT) * age_ms as f64 / SHOWN_MS as f64
}

/// The distance between two lines: 1, 2 or 5 times a power of ten, so that few lines reach the highest value.
fn step(highest: f64) -> f64 {
    if highest <= 0.0 {
        return 1.0;
    }
    let least = (highest / LINES_MAX).max(0.01);
    let power = 10.0_f64.powf(least.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let factor = factors.into_iter().find(|factor| factor * power >= least);
    factor.unwrap_or(10.0) * power
}

/// The multiples of a step from 0 to `top`.
fn multiples(step: f64, top: f64) -> impl Iterator<Item = f64> {
    let all = std::iter::successors(Some(0.0), move |value| Some(value + step));
    all.take_while(move |value| *value <= top + step / 2.0)
}

/// A number on an axis: thousands as `k`, and no more decimals than it needs.
fn axis_label(value: f64) -> String {
    match value {
        10_000.0.. => format!("{}k", round(value / 1_000.0)),
        _ => format!("{}", (value * 100.0).round() / 100.0),
    }
}

/// One decimal is less than a pixel.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(unix_ms: u64, rate: f64, ms: Option<f64>) -> Point {
        Point {
            unix_ms,
            rate,
            p50_ms: ms,
            p99_ms: ms.map(|ms| 2.0 * ms),
        }
    }

    #[test]
    fn axes_have_few_round_numbers_up_to_the_highest_value() {
        let lines = |scale: Scale, values: &[f64]| {
            let lines = scale.lines(values);
            let labels: Vec<String> = lines.iter().map(|line| axis_label(*line)).collect();
            labels.join(" ")
        };
        for (highest, labels) in [
            (0.0, "0 1"),
            (0.9, "0 0.5 1"),
            (4.0, "0 1 2 3 4"),
            (101.0, "0 50 100 150"),
            (7_400.0, "0 2000 4000 6000 8000"),
            (1_200_000.0, "0 500k 1000k 1500k"),
        ] {
            assert_eq!(lines(Scale::Linear, &[0.0, highest]), labels);
        }
        for (values, labels) in [
            (&[][..], "0.1 1"),
            (&[3.0], "1 10"),
            (&[0.01, 0.0], "0.1 1"),
            (&[0.6, 14.0, 2_300.0], "0.1 1 10 100 1000 10k"),
        ] {
            assert_eq!(lines(Scale::Powers, values), labels);
        }
    }

    #[test]
    fn a_value_lies_between_its_neighbours_on_the_axis() {
        let share = |scale: Scale, value| {
            let share = scale.share(value, &[1.0, 10.0, 100.0]);
            format!("{share:.3}")
        };
        assert_eq!(share(Scale::Linear, 25.0), "0.250");
        assert_eq!(share(Scale::Powers, 10.0), "0.500");
        assert_eq!(share(Scale::Powers, 0.2), "0.000", "below the axis");
    }

    #[test]
    fn a_line_is_interrupted_where_there_was_no_answer_and_ends_where_the_chart_ends() {
        let now_ms = 1_000_000;
        let points = [
            point(now_ms - SHOWN_MS - 1, 9.0, Some(9.0)),
            point(now_ms - SHOWN_MS, 1.0, Some(1.0)),
            point(now_ms - 4_000, 1.0, None),
            point(now_ms - 2_000, 1.0, Some(3.0)),
            point(now_ms, 1.0, Some(4.0)),
        ];
        let line = path(&points, now_ms, |point| point.p50_ms, |value| value);
        assert_eq!(line, "M56 1h0M459.3 3h0L462 4");
    }

    #[test]
    fn each_chart_has_its_unit_its_scale_and_its_legend() {
        let now_ms = 1_000_000;
        let html = section(&[point(now_ms, 120.0, Some(3.0))], now_ms).into_string();
        for part in [
            "requests/s over the last 5 minutes, highest 120.0",
            "ms over the last 5 minutes, highest 6.0",
            ">150</text>",
            ">10</text>",
            ">now</text>",
            ">−5 min</text>",
            "median (ms)</span>",
            "99 % within (ms)</span>",
            "<b id=\"p99-now\">6.0 ms</b>",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(!section(&[], now_ms).into_string().contains("<svg"));
    }
}
