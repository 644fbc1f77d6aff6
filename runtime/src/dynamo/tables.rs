//! Creates the tables without CloudFormation: for `ipgeo dev`, shadow ledgers and tests.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use ipgeo_contract::{access_attr, ledger_attr};

use super::failed;
use crate::store::StoreError;

/// Creates home's access table and ledger, unless they exist.
pub async fn create_tables(client: &Client, access: &str, ledger: &str) -> Result<(), StoreError> {
    create_access_table(client, access).await?;
    create_ledger_table(client, ledger).await
}

/// Creates a ledger, unless it exists.
pub(super) async fn create_ledger_table(client: &Client, ledger: &str) -> Result<(), StoreError> {
    let table = keyed(client, ledger, &[ledger_attr::ID, ledger_attr::MONTH]);
    ensure(table, ledger).await
}

/// Creates a region's access table, unless it exists.
pub async fn create_access_table(client: &Client, access: &str) -> Result<(), StoreError> {
    ensure(keyed(client, access, &[access_attr::ID]), access).await
}

/// An on-demand table with string keys: the partition key, and optionally the sort key.
fn keyed(client: &Client, name: &str, keys: &[&str]) -> CreateTableFluentBuilder {
    // The builders fail only without a name or a type, and each has both.
    let schema = keys.iter().zip([KeyType::Hash, KeyType::Range]).filter_map(|(key, key_type)| {
        KeySchemaElement::builder().attribute_name(*key).key_type(key_type).build().ok()
    });
    let attributes = keys.iter().filter_map(|key| {
        let builder = AttributeDefinition::builder().attribute_name(*key);
        builder.attribute_type(ScalarAttributeType::S).build().ok()
    });
    client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(schema.collect()))
        .set_attribute_definitions(Some(attributes.collect()))
}

async fn ensure(table: CreateTableFluentBuilder, name: &str) -> Result<(), StoreError> {
    match table.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_in_use_exception()) => Ok(()),
        Err(error) => Err(failed(format!("creation of table {name}"), error)),
    }
}
