//! Figures: one series for each measured quantity, with a value for each round.

use serde::Serialize;

use super::figure::Figure;

/// Minimum, median and maximum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Minimum.
    pub min: f64,
    /// Median. Of an even number of values, the lower of the middle two.
    pub median: f64,
    /// Maximum.
    pub max: f64,
}

impl Spread {
    /// The spread of the values; none without a value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Some(Spread {
            min: *values.first()?,
            median: *values.get((values.len() - 1) / 2)?,
            max: *values.last()?,
        })
    }
}

/// Identifies a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// The scenario.
    pub scenario: &'static str,
    /// The value that the scenario varies.
    pub setting: String,
    /// The measured subject.
    pub subject: String,
    /// The measured figure.
    pub figure: Figure,
}

/// One quantity, measured once in each round.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// The key of the series.
    #[serde(flatten)]
    pub key: Key,
    /// The values by round.
    pub rounds: Vec<Option<f64>>,
    /// The spread over the rounds.
    pub spread: Option<Spread>,
    /// The subject that it is compared with, if any.
    pub against: Option<String>,
    /// The spread of the ratios within each round.
    pub ratio: Option<Spread>,
}

/// All figures.
#[derive(Clone, Debug, Default)]
pub struct Figures(Vec<Series>);

impl Figures {
    /// Adds the value of a round.
    pub fn add(&mut self, key: Key, round: usize, value: f64) {
        let at = match self.0.iter().position(|series| series.key == key) {
            Some(at) => at,
            None => {
                self.0.push(Series {
                    key,
                    rounds: Vec::new(),
                    spread: None,
                    against: None,
                    ratio: None,
                });
                self.0.len() - 1
            }
        };
        if let Some(series) = self.0.get_mut(at) {
            if series.rounds.len() <= round {
                series.rounds.resize(round + 1, None);
            }
            if let Some(place) = series.rounds.get_mut(round) {
                *place = Some(value);
            }
        }
    }

    /// Returns the series with their spreads. Each is compared with another subject of its scenario and
    /// setting.
    pub fn finish(mut self) -> Vec<Series> {
        let all = self.0.clone();
        for series in &mut self.0 {
            series.spread = Spread::of(series.rounds.iter().copied().flatten());
            let Some(subject) = series.key.figure.against() else {
                continue;
            };
            let of_floor = Key {
                subject: subject.to_owned(),
                ..series.key.clone()
            };
            if let Some(floor) = all.iter().find(|other| other.key == of_floor)
                && of_floor != series.key
            {
                series.ratio = ratio(&series.rounds, &floor.rounds);
                series.against = Some(subject.to_owned());
            }
        }
        self.0
    }
}

/// The spread of the ratios of two series, round by round.
pub fn ratio(these: &[Option<f64>], those: &[Option<f64>]) -> Option<Spread> {
    let ratios = these.iter().zip(those).filter_map(|(this, that)| {
        let (this, that) = ((*this)?, (*that)?);
        (that > 0.0).then_some(this / that)
    });
    Spread::of(ratios)
}

/// Formats a number with three significant digits and separated thousands.
pub fn shown(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        0.0 => 0,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        let left = whole.len() - index;
        if index > 0 && left.is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if rest.is_empty() {
        grouped
    } else {
        format!("{grouped}.{rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::figure::EQUAL_BYTES;
    use super::*;

    fn key(subject: &str) -> Key {
        Key {
            scenario: "drain",
            setting: "base".to_owned(),
            subject: subject.to_owned(),
            figure: Figure::Rate,
        }
    }

    #[test]
    fn a_ratio_is_that_of_one_round() {
        let mut figures = Figures::default();
        // The machine was twice as fast in the second round.
        for (round, value) in [10.0, 20.0, 12.0].into_iter().enumerate() {
            figures.add(key(EQUAL_BYTES), round, value);
            figures.add(key("serve"), round, value * 0.9);
        }
        figures.add(key("serve"), 3, 1.0);
        let series = figures.finish();
        let serve = &series[1];
        let ratio = serve.ratio.unwrap();
        assert!((ratio.min - 0.9).abs() < 1e-9 && (ratio.max - 0.9).abs() < 1e-9);
        assert_eq!(series[0].ratio, None);
        assert_eq!(series[0].spread.unwrap().median, 12.0);
    }

    #[test]
    fn the_median_is_a_value_that_was_measured() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 2.0, 4.0));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn numbers_are_short() {
        let of = [0.0, 0.823, 12.34, 999.6, 1_234_567.8];
        assert_eq!(of.map(shown), ["0", "0.82", "12.3", "1,000", "1,234,568"]);
    }
}
