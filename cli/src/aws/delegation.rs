//! Checks whether public DNS delegates to a hosted zone. Without delegation, a certificate for a domain in the zone waits
//! for hours, so this is checked before anything is created.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ipgeo_contract::error_chain;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::infra::plan::Delegation;

/// How long a resolver has to answer. A plan must not wait for a network that drops DNS.
const PATIENCE: Duration = Duration::from_millis(1_500);
const DNS_PORT: u16 = 53;
/// Cloudflare and Quad9: queried only if this machine's own resolver does not answer, or returns other servers (it may have
/// a private view).
const PUBLIC: [Ipv4Addr; 2] = [Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(9, 9, 9, 9)];
/// More than any answer without EDNS, which has at most 512 bytes.
const ANSWER_BYTES_MAX: usize = 4_096;

pub(super) trait PublicDns: Sync {
    /// The resolvers to ask, in this order.
    fn resolvers(&self) -> Vec<IpAddr>;

    /// A zone's name servers in lower case, without final dots; empty if the zone is not delegated.
    fn name_servers(
        &self,
        resolver: IpAddr,
        zone: &str,
    ) -> impl Future<Output = Result<BTreeSet<String>, String>> + Send;

    /// A host's addresses; none if they are unknown.
    fn addresses(&self, host: &str) -> impl Future<Output = BTreeSet<IpAddr>> + Send;
}

/// Compares the name servers of a zone in public DNS with those that Route 53 gave it.
pub(super) async fn delegation<D: PublicDns>(dns: &D, zone: &str, ours: &BTreeSet<String>) -> Delegation {
    let mut worst = None;
    for resolver in dns.resolvers() {
        match dns.name_servers(resolver, zone).await {
            Ok(found) if leads_to(dns, &found, ours).await => return Delegation::Ours,
            Ok(found) => worst = Some(Delegation::Elsewhere(found)),
            Err(why) => worst = worst.or(Some(Delegation::Unknown(format!("{resolver}: {why}")))),
        }
    }
    worst.unwrap_or_else(|| Delegation::Unknown("this machine has no resolver".to_owned()))
}

/// Servers may have names of the operator's own and Route 53's addresses (white-label name servers).
async fn leads_to<D: PublicDns>(dns: &D, found: &BTreeSet<String>, ours: &BTreeSet<String>) -> bool {
    if !found.is_disjoint(ours) {
        return true;
    }
    let mut known = BTreeSet::new();
    for host in ours.iter().filter(|_| !found.is_empty()) {
        known.extend(dns.addresses(host).await);
    }
    for host in found {
        if !dns.addresses(host).await.is_disjoint(&known) {
            return true;
        }
    }
    false
}

/// This machine's first resolver, then public ones.
pub(super) struct Resolvers;

impl PublicDns for Resolvers {
    fn resolvers(&self) -> Vec<IpAddr> {
        let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        own_resolver(&text).into_iter().chain(PUBLIC.map(IpAddr::V4)).collect()
    }

    async fn name_servers(&self, resolver: IpAddr, zone: &str) -> Result<BTreeSet<String>, String> {
        let asked = ask(SocketAddr::new(resolver, DNS_PORT), zone);
        timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err("no answer".to_owned()))
    }

    async fn addresses(&self, host: &str) -> BTreeSet<IpAddr> {
        let found = timeout(PATIENCE, tokio::net::lookup_host((host, DNS_PORT))).await;
        found.ok().and_then(Result::ok).into_iter().flatten().map(|found| found.ip()).collect()
    }
}

fn own_resolver(resolv_conf: &str) -> Option<IpAddr> {
    let addresses =
        resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok());
    addresses.into_iter().next()
}

async fn ask(resolver: SocketAddr, zone: &str) -> Result<BTreeSet<String>, String> {
    let failed = |error: std::io::Error| error_chain(&error, ": ");
    let id = fastrand::u16(..);
    let question = query(id, zone).map_err(|error| error.to_string())?;
    let any = if resolver.is_ipv4() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    let socket = UdpSocket::bind((any, 0)).await.map_err(failed)?;
    socket.connect(resolver).await.map_err(failed)?;
    socket.send(&question).await.map_err(failed)?;
    let mut buffer = [0; ANSWER_BYTES_MAX];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(failed)?;
        let packet = Packet::parse(&buffer[..length]).map_err(|error| error.to_string())?;
        // An answer to somebody else's question is forged or late.
        if packet.id() == id {
            return name_servers(&packet, zone);
        }
    }
}

fn query(id: u16, zone: &str) -> Result<Vec<u8>, simple_dns::SimpleDnsError> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(Name::new(zone)?, TYPE::NS.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec()
}

fn name_servers(packet: &Packet<'_>, zone: &str) -> Result<BTreeSet<String>, String> {
    match packet.rcode() {
        RCODE::NoError if packet.has_flags(PacketFlag::TRUNCATION) => {
            Err("the answer is truncated".to_owned())
        }
        RCODE::NoError | RCODE::NameError => {
            let answers =
                packet.answers.iter().filter(|answer| answer.name.to_string().eq_ignore_ascii_case(zone));
            Ok(answers
                .filter_map(|answer| match &answer.rdata {
                    RData::NS(server) => Some(server.0.to_string().to_ascii_lowercase()),
                    _ => None,
                })
                .collect())
        }
        other => Err(format!("the resolver answers {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::NS;

    use super::*;

    type Answer = Result<&'static [&'static str], &'static str>;

    /// Resolvers with these answers.
    struct Told(Vec<Answer>);

    impl PublicDns for Told {
        fn resolvers(&self) -> Vec<IpAddr> {
            (0..self.0.len()).map(|at| IpAddr::from([192, 0, 2, u8::try_from(at).expect("few")])).collect()
        }

        async fn name_servers(&self, resolver: IpAddr, _: &str) -> Result<BTreeSet<String>, String> {
            let IpAddr::V4(address) = resolver else { panic!("{resolver}") };
            self.0[usize::from(address.octets()[3])].map(set).map_err(str::to_owned)
        }

        async fn addresses(&self, host: &str) -> BTreeSet<IpAddr> {
            let known = ["ns1.own.test", "ns-1.awsdns-01.org"].contains(&host);
            known.then(|| IpAddr::from([198, 51, 100, 1])).into_iter().collect()
        }
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test]
    async fn public_dns_leads_to_the_zone_elsewhere_or_nowhere() {
        const OURS: Answer = Ok(&["ns-1.awsdns-01.org", "ns-2.awsdns-02.net"]);
        const OTHER: Answer = Ok(&["ns1.registrar.test"]);
        const NONE: Answer = Ok(&[]);
        const DOWN: Answer = Err("no answer");
        let elsewhere = |names: &[&str]| Delegation::Elsewhere(set(names));
        let unknown = || Delegation::Unknown("192.0.2.0: no answer".to_owned());
        let table: [(&str, Vec<Answer>, Delegation); 9] = [
            ("ours", vec![OURS], Delegation::Ours),
            ("half of it is ours", vec![Ok(&["ns-1.awsdns-01.org", "ns1.registrar.test"])], Delegation::Ours),
            ("names of one's own", vec![Ok(&["ns1.own.test"])], Delegation::Ours),
            ("a registrar's servers", vec![OTHER], elsewhere(&["ns1.registrar.test"])),
            ("no servers at all", vec![NONE], elsewhere(&[])),
            ("a private view", vec![NONE, OURS], Delegation::Ours),
            ("the first does not answer", vec![DOWN, OTHER], elsewhere(&["ns1.registrar.test"])),
            ("only the first answers", vec![OTHER, DOWN], elsewhere(&["ns1.registrar.test"])),
            ("offline", vec![DOWN, DOWN], unknown()),
        ];
        let ours = set(OURS.expect("names"));
        for (what, answers, expected) in table {
            assert_eq!(delegation(&Told(answers), "example.com", &ours).await, expected, "{what}");
        }
    }

    #[tokio::test]
    async fn a_resolver_is_asked_over_udp() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = server.local_addr().expect("an address");
        let answers = tokio::spawn(async move {
            for code in [RCODE::NoError, RCODE::NameError, RCODE::ServerFailure] {
                let mut buffer = [0; 512];
                let (length, from) = server.recv_from(&mut buffer).await.expect("a question");
                let question = Packet::parse(&buffer[..length]).expect("a packet");
                let mut reply = Packet::new_reply(question.id());
                *reply.rcode_mut() = code;
                let name = Name::new("Example.COM").expect("a name");
                if code == RCODE::NoError {
                    let server = RData::NS(NS(Name::new("NS-1.awsdns-01.org").expect("a name")));
                    reply.answers.push(ResourceRecord::new(name, CLASS::IN, 60, server));
                }
                let mut forged = reply.clone();
                forged.set_id(question.id().wrapping_add(1));
                for packet in [forged, reply] {
                    server.send_to(&packet.build_bytes_vec().expect("bytes"), from).await.expect("sent");
                }
            }
        });
        assert_eq!(ask(address, "example.com").await, Ok(set(&["ns-1.awsdns-01.org"])));
        assert_eq!(ask(address, "example.com").await, Ok(BTreeSet::new()));
        assert_eq!(ask(address, "example.com").await, Err("the resolver answers ServerFailure".to_owned()));
        answers.await.expect("it ends");
        assert_eq!(
            own_resolver("# x\nsearch a.test\nnameserver 192.0.2.53\n"),
            Some(IpAddr::from([192, 0, 2, 53]))
        );
        assert_eq!(own_resolver(""), None);
    }
}
