//! The AWS regions of the partition `aws`, with the city and coordinates of each, and how to recognise regions of other
//! partitions.

/// An AWS region.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    pub name: &'static str,
    /// The nearest city.
    pub city: &'static str,
    pub latitude: f64,
    pub longitude: f64,
    is_opt_in: bool,
}

const fn place(name: &'static str, city: &'static str, latitude: f64, longitude: f64) -> Place {
    Place { name, city, latitude, longitude, is_opt_in: false }
}

const fn opt_in(name: &'static str, city: &'static str, latitude: f64, longitude: f64) -> Place {
    Place { is_opt_in: true, ..place(name, city, latitude, longitude) }
}

/// Prefix of region names, title and name of every partition other than `aws` (AWS documentation). Each partition has
/// its own accounts, credentials and endpoints.
const PARTITIONS: [(&str, &str, &str); 7] = [
    ("us-gov-", "AWS GovCloud (US)", "aws-us-gov"),
    ("cn-", "AWS China", "aws-cn"),
    ("eusc-", "the AWS European Sovereign Cloud", "aws-eusc"),
    ("us-isob-", "AWS Secret Region (US)", "aws-iso-b"),
    ("us-iso-", "AWS Top Secret Region (US)", "aws-iso"),
    ("us-isof-", "AWS ISOF (US)", "aws-iso-f"),
    ("eu-isoe-", "AWS ISOE (Europe)", "aws-iso-e"),
];

/// The error for a region in an unsupported partition.
pub(crate) fn other_partition(name: &str) -> Option<String> {
    let (_, title, partition) = PARTITIONS.iter().find(|(prefix, ..)| name.starts_with(prefix))?;
    Some(format!(
        "`{name}` is a region of {title}, partition `{partition}`; only the partition `aws` is supported"
    ))
}

pub(crate) fn find(name: &str) -> Option<&'static Place> {
    PLACES.iter().find(|place| place.name == name)
}

/// Whether an account must enable a region before it can use it (AWS: "Enable or disable AWS Regions").
pub fn is_opt_in(region: &str) -> bool {
    find(region).is_none_or(|place| place.is_opt_in)
}

/// All regions, from the AWS documentation; coordinates are those of the city.
pub const PLACES: [Place; 34] = [
    opt_in("af-south-1", "Cape Town", -33.9, 18.4),
    opt_in("ap-east-1", "Hong Kong", 22.3, 114.2),
    opt_in("ap-east-2", "Taipei", 25.0, 121.6),
    place("ap-northeast-1", "Tokyo", 35.7, 139.7),
    place("ap-northeast-2", "Seoul", 37.6, 127.0),
    place("ap-northeast-3", "Osaka", 34.7, 135.5),
    place("ap-south-1", "Mumbai", 19.1, 72.9),
    opt_in("ap-south-2", "Hyderabad", 17.4, 78.5),
    place("ap-southeast-1", "Singapore", 1.35, 103.8),
    place("ap-southeast-2", "Sydney", -33.9, 151.2),
    opt_in("ap-southeast-3", "Jakarta", -6.2, 106.8),
    opt_in("ap-southeast-4", "Melbourne", -37.8, 145.0),
    opt_in("ap-southeast-5", "Kuala Lumpur", 3.1, 101.7),
    opt_in("ap-southeast-6", "Auckland", -36.8, 174.8),
    opt_in("ap-southeast-7", "Bangkok", 13.8, 100.5),
    place("ca-central-1", "Montreal", 45.5, -73.6),
    opt_in("ca-west-1", "Calgary", 51.0, -114.1),
    place("eu-central-1", "Frankfurt", 50.1, 8.7),
    opt_in("eu-central-2", "Zurich", 47.4, 8.5),
    place("eu-north-1", "Stockholm", 59.3, 18.1),
    opt_in("eu-south-1", "Milan", 45.5, 9.2),
    opt_in("eu-south-2", "Zaragoza", 41.6, -0.9),
    place("eu-west-1", "Dublin", 53.3, -6.3),
    place("eu-west-2", "London", 51.5, -0.1),
    place("eu-west-3", "Paris", 48.9, 2.4),
    opt_in("il-central-1", "Tel Aviv", 32.1, 34.8),
    opt_in("me-central-1", "Dubai", 25.2, 55.3),
    opt_in("me-south-1", "Bahrain", 26.1, 50.6),
    opt_in("mx-central-1", "Querétaro", 20.6, -100.4),
    place("sa-east-1", "São Paulo", -23.6, -46.6),
    place("us-east-1", "Virginia", 39.0, -77.5),
    place("us-east-2", "Ohio", 40.0, -83.0),
    place("us-west-1", "San Francisco", 37.8, -122.4),
    place("us-west-2", "Oregon", 45.6, -121.2),
];
