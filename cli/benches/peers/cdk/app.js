// What ipgeo renders, as an AWS CDK app: for each region a stack of an edge and one of its artifacts, and home's.
// Regions come from the environment, home first.
'use strict';
const cdk = require('aws-cdk-lib');
const { CfnApi, CfnApiMapping, CfnDomainName, CfnIntegration, CfnRoute, CfnStage } = require('aws-cdk-lib/aws-apigatewayv2');
const { CfnAlarm } = require('aws-cdk-lib/aws-cloudwatch');
const { CfnCertificate } = require('aws-cdk-lib/aws-certificatemanager');
const { CfnGlobalTable, CfnTable } = require('aws-cdk-lib/aws-dynamodb');
const { CfnRole } = require('aws-cdk-lib/aws-iam');
const { CfnStream } = require('aws-cdk-lib/aws-kinesis');
const { CfnEventSourceMapping, CfnFunction, CfnLayerVersion, CfnPermission } = require('aws-cdk-lib/aws-lambda');
const { CfnDestination, CfnLogGroup, CfnSubscriptionFilter } = require('aws-cdk-lib/aws-logs');
const { CfnBucket, CfnBucketPolicy } = require('aws-cdk-lib/aws-s3');

const regions = process.env.REGIONS.split(',');
const [home] = regions;
const account = '123456789012';
const domain = 'api.example.com';

const trust = (service) => ({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: service }, Action: 'sts:AssumeRole' }],
});
const policy = (name, ...statements) => ({
  policyName: name,
  policyDocument: { Version: '2012-10-17', Statement: statements.map(([Action, Resource]) => ({ Effect: 'Allow', Action, Resource })) },
});

function bucket(stack, name, bucketName, expirationInDays) {
  const made = new CfnBucket(stack, name, {
    bucketName,
    bucketEncryption: { serverSideEncryptionConfiguration: [{ serverSideEncryptionByDefault: { sseAlgorithm: 'AES256' } }] },
    lifecycleConfiguration: {
      rules: [{ id: 'forget', status: 'Enabled', expirationInDays, noncurrentVersionExpiration: { noncurrentDays: 30 }, abortIncompleteMultipartUpload: { daysAfterInitiation: 1 } }],
    },
    ownershipControls: { rules: [{ objectOwnership: 'BucketOwnerEnforced' }] },
    publicAccessBlockConfiguration: { blockPublicAcls: true, blockPublicPolicy: true, ignorePublicAcls: true, restrictPublicBuckets: true },
    versioningConfiguration: { status: 'Enabled' },
  });
  new CfnBucketPolicy(stack, `${name}Policy`, {
    bucket: made.ref,
    policyDocument: {
      Version: '2012-10-17',
      Statement: [{ Sid: 'TlsOnly', Effect: 'Deny', Principal: '*', Action: 's3:*', Resource: [made.attrArn, `${made.attrArn}/*`], Condition: { Bool: { 'aws:SecureTransport': 'false' } } }],
    },
  });
  return made;
}

function func(stack, name, role, logGroup, variables, more) {
  return new CfnFunction(stack, name, {
    functionName: `ipgeo-prod-${name}`,
    architectures: ['arm64'],
    code: { s3Bucket: `ipgeo-prod-${account}-${stack.region}`, s3Key: 'code/0.zip' },
    environment: { variables },
    handler: 'bootstrap',
    loggingConfig: { logFormat: 'JSON', applicationLogLevel: 'INFO', systemLogLevel: 'WARN', logGroup: logGroup.ref },
    role: role.attrArn,
    runtime: 'provided.al2023',
    ...more,
  });
}

function alarm(stack, name, namespace, metricName, dimension, threshold) {
  return new CfnAlarm(stack, name, {
    alarmName: `ipgeo-prod-${name}`, namespace, metricName, dimensions: [dimension], statistic: 'Maximum',
    comparisonOperator: 'GreaterThanThreshold', threshold, period: 300, evaluationPeriods: 3, treatMissingData: 'notBreaching',
  });
}

function artifacts(stack) {
  bucket(stack, 'ArtifactBucket', `ipgeo-prod-${account}-${stack.region}`);
}

function atHome(stack) {
  const access = new CfnGlobalTable(stack, 'AccessTable', {
    tableName: 'ipgeo-prod-access', billingMode: 'PAY_PER_REQUEST',
    attributeDefinitions: [{ attributeName: 'id', attributeType: 'S' }], keySchema: [{ attributeName: 'id', keyType: 'HASH' }],
    streamSpecification: { streamViewType: 'NEW_AND_OLD_IMAGES' },
    replicas: regions.map((region) => ({ region, deletionProtectionEnabled: true, pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true } })),
  });
  const ledger = new CfnTable(stack, 'Ledger', {
    tableName: 'ipgeo-prod-ledger', billingMode: 'PAY_PER_REQUEST', deletionProtectionEnabled: true,
    attributeDefinitions: [{ attributeName: 'id', attributeType: 'S' }, { attributeName: 'month', attributeType: 'S' }],
    keySchema: [{ attributeName: 'id', keyType: 'HASH' }, { attributeName: 'month', keyType: 'RANGE' }],
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true }, timeToLiveSpecification: { attributeName: 'ttl', enabled: true },
  });
  const stream = new CfnStream(stack, 'UsageStream', {
    name: 'ipgeo-prod-usage', retentionPeriodHours: 24, shardCount: 1,
    streamEncryption: { encryptionType: 'KMS', keyId: 'alias/aws/kinesis' }, streamModeDetails: { streamMode: 'PROVISIONED' },
  });
  new CfnRole(stack, 'LogPipeRole', {
    roleName: 'ipgeo-prod-log-pipe', assumeRolePolicyDocument: trust('logs.amazonaws.com'),
    policies: [policy('put-usage-lines', ['kinesis:PutRecord', stream.attrArn])],
  });
  const failures = bucket(stack, 'FailureBucket', `ipgeo-prod-failures-${account}`, 365);
  const logGroup = new CfnLogGroup(stack, 'UsageLogGroup', { logGroupName: '/aws/lambda/ipgeo-prod-usage', retentionInDays: 1 });
  const role = new CfnRole(stack, 'UsageRole', {
    roleName: 'ipgeo-prod-usage', assumeRolePolicyDocument: trust('lambda.amazonaws.com'),
    policies: [policy('count-and-publish',
      [['kinesis:DescribeStream', 'kinesis:GetRecords', 'kinesis:GetShardIterator', 'kinesis:ListShards'], stream.attrArn],
      ['dynamodb:UpdateItem', [ledger.attrArn, access.attrArn]],
      [['s3:ListBucket', 's3:PutObject'], [failures.attrArn, `${failures.attrArn}/*`]],
      [['logs:CreateLogStream', 'logs:PutLogEvents'], logGroup.attrArn])],
  });
  const usage = func(stack, 'usage', role, logGroup, { IPGEO_HANDLER: 'usage' }, { memorySize: 512, timeout: 120 });
  new CfnEventSourceMapping(stack, 'UsageSource', {
    functionName: usage.ref, eventSourceArn: stream.attrArn, batchSize: 10000, bisectBatchOnFunctionError: true,
    destinationConfig: { onFailure: { destination: failures.attrArn } }, functionResponseTypes: ['ReportBatchItemFailures'],
    maximumBatchingWindowInSeconds: 300, maximumRecordAgeInSeconds: 86400, maximumRetryAttempts: 100, parallelizationFactor: 1, startingPosition: 'TRIM_HORIZON',
  });
  const ofUsage = { name: 'FunctionName', value: usage.ref };
  alarm(stack, 'UsageBehind', 'AWS/Lambda', 'IteratorAge', ofUsage, 900000);
  alarm(stack, 'UsageErrors', 'AWS/Lambda', 'Errors', ofUsage, 0);
  alarm(stack, 'UsageFailures', 'AWS/S3', 'NumberOfObjects', { name: 'BucketName', value: failures.ref }, 0);
  new cdk.CfnOutput(stack, 'Stream', { value: stream.attrArn });
  new cdk.CfnOutput(stack, 'Failures', { value: failures.ref });
}

function edge(stack) {
  const zone = new cdk.CfnParameter(stack, 'HostedZoneId', { type: 'String' });
  const logGroup = new CfnLogGroup(stack, 'LogGroup', { logGroupName: '/aws/lambda/ipgeo-prod-lookup', retentionInDays: 1 });
  const role = new CfnRole(stack, 'LookupRole', {
    roleName: `ipgeo-prod-lookup-${stack.region}`, assumeRolePolicyDocument: trust('lambda.amazonaws.com'),
    policies: [policy('read-access-table',
      [['dynamodb:BatchGetItem', 'dynamodb:GetItem'], `arn:aws:dynamodb:${stack.region}:${account}:table/ipgeo-prod-access`],
      [['logs:CreateLogStream', 'logs:PutLogEvents'], logGroup.attrArn])],
  });
  const layer = new CfnLayerVersion(stack, 'GeoLayer', {
    layerName: 'ipgeo-prod-geo', content: { s3Bucket: `ipgeo-prod-${account}-${stack.region}`, s3Key: 'geo/0.zip' },
    compatibleArchitectures: ['arm64', 'x86_64'], compatibleRuntimes: ['provided.al2023'],
  });
  const lookup = func(stack, 'lookup', role, logGroup, {
    IPGEO_HANDLER: 'lookup', IPGEO_ACCESS_TABLE: 'ipgeo-prod-access', IPGEO_ANONYMOUS_LIMIT: '1500/day', IPGEO_ACCESS_CACHE_S: '10',
  }, { memorySize: 256, timeout: 5, layers: [layer.ref] });
  const api = new CfnApi(stack, 'Api', { name: 'ipgeo-prod', protocolType: 'HTTP', disableExecuteApiEndpoint: true, ipAddressType: 'dualstack' });
  const integration = new CfnIntegration(stack, 'Integration', {
    apiId: api.ref, integrationType: 'AWS_PROXY', integrationUri: lookup.attrArn, payloadFormatVersion: '2.0',
  });
  new CfnRoute(stack, 'Route', { apiId: api.ref, routeKey: '$default', authorizationType: 'NONE', target: `integrations/${integration.ref}` });
  const stage = new CfnStage(stack, 'Stage', {
    apiId: api.ref, stageName: '$default', autoDeploy: true, defaultRouteSettings: { throttlingBurstLimit: 500, throttlingRateLimit: 1000 },
  });
  new CfnPermission(stack, 'ApiPermission', {
    functionName: lookup.ref, action: 'lambda:InvokeFunction', principal: 'apigateway.amazonaws.com',
    sourceArn: `arn:aws:execute-api:${stack.region}:${account}:${api.ref}/*`,
  });
  const certificate = new CfnCertificate(stack, 'Certificate', {
    domainName: domain, validationMethod: 'DNS', domainValidationOptions: [{ domainName: domain, hostedZoneId: zone.valueAsString }],
  });
  const name = new CfnDomainName(stack, 'Domain', {
    domainName: domain,
    domainNameConfigurations: [{ certificateArn: certificate.ref, endpointType: 'REGIONAL', ipAddressType: 'dualstack', securityPolicy: 'TLS_1_2' }],
  });
  new CfnApiMapping(stack, 'DomainMapping', { domainName: name.ref, apiId: api.ref, stage: stage.ref });
  const destination = new CfnDestination(stack, 'UsageDestination', {
    destinationName: 'ipgeo-prod-usage', roleArn: `arn:aws:iam::${account}:role/ipgeo-prod-log-pipe`,
    targetArn: `arn:aws:kinesis:${home}:${account}:stream/ipgeo-prod-usage`,
    destinationPolicy: JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: { AWS: account }, Action: 'logs:PutSubscriptionFilter', Resource: '*' }] }),
  });
  new CfnSubscriptionFilter(stack, 'UsageSubscription', { logGroupName: logGroup.ref, destinationArn: destination.attrArn, filterPattern: '{ $.ipgeo = 1 }' });
  new cdk.CfnOutput(stack, 'ApiId', { value: api.ref });
  new cdk.CfnOutput(stack, 'RegionalDomainName', { value: name.attrRegionalDomainName });
}

const app = new cdk.App();
for (const region of regions) {
  const stack = (kind) => new cdk.Stack(app, `${kind}-${region}`, { env: { account, region }, synthesizer: new cdk.BootstraplessSynthesizer() });
  artifacts(stack('artifacts'));
  if (region === home) atHome(stack('home'));
  edge(stack('edge'));
}
