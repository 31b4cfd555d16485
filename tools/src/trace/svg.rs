//! Traces as a picture: a row for each kind of exit, on the left when its exits occurred, on the right what they cost.

use std::collections::BTreeMap;

use hv::vt::stats::{self, Costs};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::log::{Track, first};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<T = ()> = Result<T, String>;

const WIDTH: u32 = 1200;
/// Where the rows begin, and how much room is below them: the axes, and a margin.
const ROWS: i32 = 96;
const BELOW: i32 = 80;
/// How high a row is: as much, or more where the lanes in it need more.
const ROW: i32 = 48;
const LANE: i32 = 10;
const MOST_LANES: usize = 40;
/// The columns: the kinds' names, the times, the costs, and the costs in words.
const NAMES: i32 = 20;
const TIMES: (i32, i32) = (150, 690);
const COSTS: (i32, i32) = (730, 1050);
const WORDS: i32 = 1180;

/// Okabe and Ito's colours, which people with any kind of colour vision can tell apart, without those too light on
/// white. A kind's row says which it is; colours only help the eye to stay in it.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
const INK: RGBColor = RGBColor(32, 32, 32);
const SOFT: RGBColor = RGBColor(96, 96, 96);
const LINES: RGBColor = RGBColor(224, 224, 224);

/// The exits of one kind.
#[derive(Default)]
struct Row {
    count: u64,
    /// From when to when, in microseconds, by track.
    spans: BTreeMap<usize, Vec<(f64, f64)>>,
    costs: Costs,
    /// What each exit cost, in cycles.
    cycles: Vec<u32>,
}

/// The picture as the text of an SVG file.
pub fn picture(tracks: &[Track]) -> Drawn<String> {
    let mut text = String::new();
    let (rows, end) = rows(tracks);
    let height = (ROWS + row_height(tracks.len()) * rows.len().max(1) as i32 + BELOW) as u32;
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        draw(&area, tracks, &rows, end)?;
        area.present().map_err(failed)?;
    }
    Ok(text)
}

fn failed(error: impl std::error::Error) -> String {
    format!("the picture: {error}")
}

/// How high a row with so many lanes is.
fn row_height(lanes: usize) -> i32 {
    ROW.max(6 + LANE * lanes.min(MOST_LANES) as i32)
}

/// The rows by kind, and when the last exit ends, in microseconds.
fn rows(tracks: &[Track]) -> (BTreeMap<u16, Row>, f64) {
    let first = first(tracks);
    let mut rows: BTreeMap<u16, Row> = BTreeMap::new();
    let mut end = 0.0f64;
    for (lane, track) in tracks.iter().enumerate() {
        for record in &track.records {
            // All kinds that there are not make one row.
            let kind = record.kind.min(hv::vt::exit::ExitKind::COUNT as u16);
            let row = rows.entry(kind).or_default();
            let from = track.us(record.exit.saturating_sub(first));
            let cost = stats::cost(record);
            let to = from + track.us(cost.unwrap_or(0).into());
            end = end.max(to);
            row.count += 1;
            row.spans.entry(lane).or_default().push((from, to));
            if let Some(cost) = cost {
                row.costs.add(cost);
                row.cycles.push(cost);
            }
        }
    }
    (rows, end)
}

fn draw(area: &Area, tracks: &[Track], rows: &BTreeMap<u16, Row>, end: f64) -> Drawn {
    area.fill(&WHITE).map_err(failed)?;
    titles(area, tracks, rows, end)?;
    let height = row_height(tracks.len());
    if rows.is_empty() {
        let middle = Pos::new(HPos::Center, VPos::Center);
        return write(area, "no exits", (WIDTH as i32 / 2, ROWS + height / 2), 24, INK, middle);
    }
    names(area, rows, height)?;
    times(area, rows, tracks.len(), end)?;
    costs(area, rows, height)
}

/// Text at a place.
fn write(area: &Area, text: &str, at: (i32, i32), size: i32, colour: RGBColor, pos: Pos) -> Drawn {
    let style = TextStyle::from(("sans-serif", size).into_font()).color(&colour).pos(pos);
    area.draw_text(text, &style, at).map_err(failed)
}

const LEFT: Pos = Pos { h_pos: HPos::Left, v_pos: VPos::Center };
const RIGHT: Pos = Pos { h_pos: HPos::Right, v_pos: VPos::Center };

/// The top of row `i`, where each is so high; for the number of rows, the bottom of all.
fn top(i: usize, height: i32) -> i32 {
    ROWS + height * i as i32
}

/// Names one by one, the first ones if there are many.
fn some(names: Vec<String>, most: usize) -> String {
    let rest = names.len().saturating_sub(most);
    let mut text = names.into_iter().take(most).collect::<Vec<_>>().join(", ");
    if rest > 0 {
        text += &format!(" and {rest} more");
    }
    text
}

fn titles(area: &Area, tracks: &[Track], rows: &BTreeMap<u16, Row>, end: f64) -> Drawn {
    let short = |t: &Track| format!("{:.24} on core {}", t.guest, t.core);
    let exits: u64 = rows.values().map(|r| r.count).sum();
    let who = some(tracks.iter().map(short).collect(), 3);
    let (unit, scale) = unit(end);
    let title = format!("VM exits of {who}: {} in {:.3} {unit}", grouped(exits), end / scale);
    write(area, &title, (NAMES, 24), 20, INK, LEFT)?;
    let mut notes = vec![];
    if tracks.len() > 1 {
        notes.push("within a row, each core of each guest has a lane of its own, in this order from the top".into());
    }
    let lost = tracks.iter().fold(0u64, |sum, t| sum.saturating_add(t.lost));
    if lost > 0 {
        notes.push(format!("{} older exits are lost", grouped(lost)));
    }
    if !notes.is_empty() {
        write(area, &notes.join("; "), (NAMES, 48), 14, SOFT, LEFT)?;
    }
    let heads = [
        (NAMES, "kind of exit"),
        (TIMES.0, "when: from the exit to the next entry"),
        (COSTS.0, "how many cost how much"),
    ];
    for (x, text) in heads {
        write(area, text, (x, ROWS - 14), 15, INK, LEFT)?;
    }
    write(area, "cycles", (WORDS, ROWS - 14), 15, INK, RIGHT)
}

/// The kinds' names on the left, what they cost in words on the right, and lines between the rows.
fn names(area: &Area, rows: &BTreeMap<u16, Row>, height: i32) -> Drawn {
    for (i, (kind, row)) in rows.iter().enumerate() {
        let (from, to) = (top(i, height), top(i + 1, height));
        let middle = (from + to) / 2;
        area.draw(&PathElement::new(vec![(NAMES, from), (WORDS, from)], LINES)).map_err(failed)?;
        write(area, stats::kind_name(*kind), (NAMES, middle - 7), 15, INK, LEFT)?;
        write(area, &format!("x {}", grouped(row.count)), (NAMES, middle + 8), 12, SOFT, LEFT)?;
        let Some(summary) = row.costs.summary() else {
            write(area, "not known", (WORDS, middle), 12, SOFT, RIGHT)?;
            continue;
        };
        write(area, &format!("mean {}", grouped(summary.mean.into())), (WORDS, middle - 7), 12, SOFT, RIGHT)?;
        write(area, &format!("p99 {}", grouped(summary.p99.into())), (WORDS, middle + 8), 12, SOFT, RIGHT)?;
    }
    let bottom = top(rows.len(), height);
    area.draw(&PathElement::new(vec![(NAMES, bottom), (WORDS, bottom)], INK)).map_err(failed)
}

/// A unit for times up to `us`, and how many microseconds it is.
fn unit(us: f64) -> (&'static str, f64) {
    match us {
        ..1e4 => ("µs", 1.0),
        ..1e7 => ("ms", 1e3),
        _ => ("s", 1e6),
    }
}

/// When the exits occurred. Exits closer than a pixel are drawn as one.
fn times(area: &Area, rows: &BTreeMap<u16, Row>, lanes: usize, end: f64) -> Drawn {
    let (unit, scale) = unit(end);
    let end = if end > 0.0 { end } else { 1.0 };
    let pixel = end / f64::from(TIMES.1 - TIMES.0);
    let x = |us: f64| TIMES.0 + (us / pixel) as i32;
    let height = row_height(lanes);
    axis(
        area,
        top(rows.len(), height),
        TIMES,
        0.0..end / scale,
        6,
        &format!("time since the first exit, {unit}"),
        &|v| decimal(*v),
    )?;
    for (i, (kind, row)) in rows.iter().enumerate() {
        let (from, to) = (f64::from(top(i, height) + 3), f64::from(top(i + 1, height) - 3));
        let lane_height = (to - from) / lanes.max(1) as f64;
        let share = if lanes > 1 { 0.9 } else { 1.0 };
        for (lane, spans) in &row.spans {
            let y = from + lane_height * *lane as f64;
            let (y0, y1) = (y as i32, ((y + lane_height * share) as i32).max(y as i32 + 1));
            let mut spans: Vec<(i32, i32)> = spans.iter().map(|(a, b)| (x(*a), x(*b).max(x(*a) + 1))).collect();
            spans.sort_unstable();
            // Whatever touches what is before it becomes one bar with it.
            let mut bars: Vec<(i32, i32)> = vec![];
            for (a, b) in spans {
                match bars.last_mut() {
                    Some(last) if a <= last.1 => last.1 = last.1.max(b),
                    _ => bars.push((a, b)),
                }
            }
            for (a, b) in bars {
                area.draw(&Rectangle::new([(a, y0), (b, y1)], colour(*kind).filled())).map_err(failed)?;
            }
        }
    }
    Ok(())
}

/// What the exits cost: for each kind a histogram whose highest bar is as high as its row.
fn costs(area: &Area, rows: &BTreeMap<u16, Row>, height: i32) -> Drawn {
    let log = |cycles: u32| f64::from(cycles.max(1)).log2();
    let all = || rows.values().flat_map(|r| &r.cycles).map(|c| log(*c));
    let low = all().fold(32.0, f64::min).floor().min(30.0);
    let high = (all().fold(0.0, f64::max).floor() + 1.0).max(low + 2.0);
    // Bars of five pixels or so.
    let step = [0.125, 0.25, 0.5].into_iter().find(|s| (high - low) / s <= 64.0).unwrap_or(1.0);
    let x = |log: f64| COSTS.0 + (f64::from(COSTS.1 - COSTS.0) * (log - low) / (high - low)) as i32;
    axis(area, top(rows.len(), height), COSTS, low..high, 6, "cost, TSC cycles (logarithmic)", &|v| {
        if v.fract() == 0.0 { compact(v.exp2()) } else { String::new() }
    })?;
    for (i, (kind, row)) in rows.iter().enumerate() {
        let (from, to) = (top(i, height) + 3, top(i + 1, height));
        let mut bars: BTreeMap<i64, u64> = BTreeMap::new();
        row.cycles.iter().for_each(|c| *bars.entry(((log(*c) - low) / step).floor() as i64).or_default() += 1);
        let most = bars.values().copied().max().unwrap_or(1);
        for (at, count) in bars {
            let a = x(low + at as f64 * step);
            let b = (x(low + (at + 1) as f64 * step) - 1).max(a + 1);
            // One exit is to be seen too.
            let tall = ((u64::from((to - from) as u32) * count).div_ceil(most) as i32).max(2);
            area.draw(&Rectangle::new([(a, to - tall), (b, to)], colour(*kind).filled())).map_err(failed)?;
        }
    }
    Ok(())
}

/// An axis below the columns `x`, with vertical lines through the rows down to `end`.
fn axis(
    area: &Area,
    end: i32,
    x: (i32, i32),
    range: std::ops::Range<f64>,
    labels: usize,
    says: &str,
    format: &dyn Fn(&f64) -> String,
) -> Drawn {
    let (bottom, height) = (56, end - ROWS);
    let part = area.clone().shrink((x.0 as u32, ROWS as u32), ((x.1 - x.0) as u32, (height + bottom) as u32));
    let mut chart = ChartBuilder::on(&part)
        .set_label_area_size(LabelAreaPosition::Bottom, bottom)
        .build_cartesian_2d(range, 0.0..1.0)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(labels)
        .max_light_lines(1)
        .bold_line_style(LINES)
        .axis_style(INK)
        .x_label_formatter(format)
        .x_label_style(("sans-serif", 13).into_font().color(&INK))
        .x_desc(says)
        .axis_desc_style(("sans-serif", 15).into_font().color(&INK))
        .draw()
        .map_err(failed)
}

fn colour(kind: u16) -> RGBColor {
    COLOURS.get(usize::from(kind) % COLOURS.len()).copied().unwrap_or(INK)
}

/// With as few decimals as there are.
fn decimal(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

/// `512`, `64 Ki`, `1 Mi`: a power of two.
fn compact(value: f64) -> String {
    match value as u64 {
        n @ ..10_000 => grouped(n),
        n @ ..1_048_576 => format!("{} Ki", n >> 10),
        n @ ..1_073_741_824 => format!("{} Mi", n >> 20),
        n => format!("{} Gi", n >> 30),
    }
}

/// A number with a comma between groups of three digits.
fn grouped(n: u64) -> String {
    if n < 1000 { n.to_string() } else { format!("{},{:03}", grouped(n / 1000), n % 1000) }
}
