//! What `ipgeo lookup` prints on terminals.

use super::*;

#[test]
fn locations_fit_a_terminal() {
    let list = ["8.8.8.8", "2001:4860:4860::8888", "1.1.1.1"];
    crate::ui::output::assert_tables("lookup", || {
        let mut source = offline();
        let five = columns(&["city", "country_name", "region", "asn.name", "asn.route", "time_zone.name"]);
        let views: [(&mut dyn View, &[&str]); 4] = [
            (&mut TableView::new(None, false), &list),
            (&mut TableView::new(five.ok(), false), &list),
            (&mut TableView::new(None, true), &list[..1]),
            (&mut SummaryView::new(Format::Table), &list),
        ];
        views.map(|(view, list)| printed(&mut source, view, list)).join("\n")
    });
}
