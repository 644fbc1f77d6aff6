//! A domain's records in a zone that others use too.

use std::collections::BTreeSet;

use crate::ministack::{self, Ministack};
use crate::python::Venv;
use crate::raw;
use crate::replicas::Replicas;
use crate::service::{HOME, NAME, Service, Wish};
use crate::stage::THREE;

/// The public zone `example.com`, with records of somebody else: beside the domain's, and under its name.
fn make_zone(service: &Service) -> String {
    let namespace = "xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"";
    let zone = format!(
        "<CreateHostedZoneRequest {namespace}><Name>example.com</Name><CallerReference>1</CallerReference>\
         </CreateHostedZoneRequest>"
    );
    let made =
        service.raw.rest("us-east-1", "route53", "POST", "/2013-04-01/hostedzone", &zone).expect("a zone");
    let id = made
        .split("/hostedzone/")
        .nth(1)
        .and_then(|rest| rest.split('<').next())
        .expect("its name")
        .to_owned();
    let record = |name: &str, kind: &str, value: &str| {
        format!(
            "<Change><Action>CREATE</Action><ResourceRecordSet><Name>{name}</Name><Type>{kind}</Type><TTL>60</TTL>\
             <ResourceRecords><ResourceRecord><Value>{value}</Value></ResourceRecord></ResourceRecords>\
             </ResourceRecordSet></Change>"
        )
    };
    let changes = format!(
        "<ChangeResourceRecordSetsRequest {namespace}><ChangeBatch><Changes>{}{}</Changes></ChangeBatch>\
         </ChangeResourceRecordSetsRequest>",
        record("www.example.com", "A", "192.0.2.1"),
        record("api.example.com", "MX", "10 mail.example.com"),
    );
    let path = format!("/2013-04-01/hostedzone/{id}/rrset");
    service.raw.rest("us-east-1", "route53", "POST", &path, &changes).expect("records");
    id
}

/// The zone's records beside its own two: `name type region`.
fn records(service: &Service, zone: &str) -> BTreeSet<String> {
    let path = format!("/2013-04-01/hostedzone/{zone}/rrset");
    let answer = service.raw.rest("us-east-1", "route53", "GET", &path, "").expect("records");
    let one = |set: &str, element: &str| raw::texts(set, element).pop().unwrap_or_default();
    raw::texts(&answer, "ResourceRecordSet")
        .iter()
        .map(|set| {
            format!("{} {} {}", one(set, "Name").trim_end_matches('.'), one(set, "Type"), one(set, "Region"))
        })
        .filter(|record| !record.starts_with("example.com "))
        .collect()
}

/// The records that there should be, with these regions attached and perhaps a note of drained ones.
fn expected_records(regions: &[&str], drained: bool) -> BTreeSet<String> {
    let mut records = BTreeSet::from(["www.example.com A ".to_owned(), "api.example.com MX ".to_owned()]);
    for region in regions {
        records.extend(["A", "AAAA"].map(|kind| format!("api.example.com {kind} {region}")));
    }
    if drained {
        records.insert("_ipgeo-drained.api.example.com TXT ".to_owned());
    }
    records
}

#[test]
fn a_domain_has_its_records_and_nobody_elses_are_touched() {
    let Some(venv) = Venv::with("ministack", &ministack::PACKAGES) else { return };
    let ministack = Ministack::start(&venv);
    let service = Service::on(&ministack, &ministack.endpoint());
    let _replicas = Replicas::keep(&service.raw, NAME, HOME, &THREE.map(str::to_owned));
    service.wish(&Wish { regions: THREE.to_vec(), memory_mb: 256, domain: true });
    let answer = service.exits(1, &service.deploy_arguments()).stderr;
    assert!(
        answer.contains("no public Route 53 zone `example.com`") && answer.contains("nothing was changed"),
        "{answer}"
    );
    assert_eq!(service.census(&THREE), BTreeSet::new());

    let zone = make_zone(&service);
    service.deploy();
    assert_eq!(records(&service, &zone), expected_records(&THREE, false));
    let quietly = ["--yes", "--no-input", "--progress", "none"];
    let traffic = |code: i32, verb: &str, region: &str| {
        service.exits(code, &[&["traffic", verb, region][..], &quietly].concat()).stderr
    };
    traffic(0, "drain", "us-east-1");
    assert_eq!(records(&service, &zone), expected_records(&[HOME, "ap-south-1"], true));
    assert!(service.plan().1, "a drained region stays drained");
    traffic(0, "drain", "ap-south-1");
    let refused = traffic(1, "drain", HOME);
    assert!(refused.contains("is the last attached region that answers"), "{refused}");
    assert_eq!(records(&service, &zone), expected_records(&[HOME], true));
    traffic(0, "attach", "us-east-1");
    traffic(0, "attach", "ap-south-1");
    assert_eq!(records(&service, &zone), expected_records(&THREE, false));
    assert!(traffic(0, "attach", "ap-south-1").contains("is already attached"));

    service.exits(0, &["destroy", "--confirm", NAME, "--delete-data", "--no-input"]);
    assert_eq!(records(&service, &zone), expected_records(&[], false));
    service.settles(&THREE, &BTreeSet::new());
}
