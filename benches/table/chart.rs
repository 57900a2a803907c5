//! Cost against size, drawn.

use std::path::Path;

use plotters::prelude::*;

use crate::table::Series;

const COLOURS: [RGBColor; 8] = [
    RGBColor(31, 119, 180),
    RGBColor(255, 127, 14),
    RGBColor(44, 160, 44),
    RGBColor(214, 39, 40),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(227, 119, 194),
    RGBColor(23, 190, 207),
];

/// Draws refpost's cost as lines, git's as dashes of the same colour; both axes are
/// logarithmic, so that what grows with its size rises by one square for each.
pub(crate) fn draw(all: &[Series], file: &Path) {
    let points = || all.iter().flat_map(|series| &series.points);
    let sizes = points().map(|point| point.0);
    let costs = points().flat_map(|point| [point.1, point.2]);
    let root = SVGBackend::new(file, (960, 600)).into_drawing_area();
    root.fill(&WHITE).unwrap();
    let mut chart = ChartBuilder::on(&root)
        .caption("processor time of one push", ("sans-serif", 20))
        .margin(12)
        .margin_right(48)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(range(sizes).log_scale(), range(costs).log_scale())
        .unwrap();
    chart
        .configure_mesh()
        .x_desc("commits, refs or files")
        .y_desc("seconds")
        .x_label_formatter(&|size| format!("{size}"))
        .y_label_formatter(&|cost| format!("{cost}"))
        .light_line_style(TRANSPARENT)
        .draw()
        .unwrap();
    for (series, colour) in all.iter().zip(COLOURS.iter().cycle()) {
        let line = colour.stroke_width(2);
        let ours = series.points.iter().map(|&(size, ours, _)| (size, ours));
        let gits = series.points.iter().map(|&(size, _, git)| (size, git));
        chart
            .draw_series(LineSeries::new(ours, line).point_size(3))
            .unwrap()
            .label(&series.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], line));
        chart
            .draw_series(DashedLineSeries::new(gits, 3, 5, line))
            .unwrap();
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.2))
        .label_font(("sans-serif", 13))
        .draw()
        .unwrap();
    root.present().unwrap();
}

/// From the power of ten below all to that above.
fn range(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    10_f64.powf(low.log10().floor())..10_f64.powf(high.log10().ceil())
}
