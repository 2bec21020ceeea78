//! Keys of Milvus that have no effect here: accepted without a warning, so that its files start us in silence.
//!
//! A name is one key; a name with `.*` is everything below it. Grouped as the files group them.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::key::normalize;

const NAMES: &str = "
    etcd.log.* etcd.data.* etcd.config.* tikv.* mysql.* rocksmq.* natsmq.* woodpecker.* hook.* cipherPlugin.* grpc.* trace.* gpu.*
    knowhere.* autoIndex.* credential.* function.* streaming.* metastore.snapshot.* version minio.logLevel minio.useIAMRole
    pulsar.enableClientMetrics pulsar.backlogAutoClearBytes msgChannel.chanNamePrefix.* msgChannel.subNamePrefix.*
    common.chanNamePrefix.* common.subNamePrefix.*

    proxy.timeTickInterval proxy.msgStream.* proxy.maxTaskNum proxy.ddlConcurrency proxy.dclConcurrency proxy.ginLogging
    proxy.ginLogSkipPaths proxy.queryNodePooling.* proxy.partialResultRequiredDataRatio proxy.maxBloomFilterSize
    proxy.maxBloomFilterPlanSize proxy.replicaSelectionPolicy proxy.checkQueryNodeHealthInterval proxy.costMetricsExpireTime
    proxy.retryTimesOnReplica proxy.retryTimesOnHealthCheck proxy.checkWorkloadRequestNum proxy.workloadToleranceFactor
    proxy.skipAutoIDCheck proxy.skipPartitionKeyCheck proxy.slowLogSpanInSeconds proxy.http.debug_mode proxy.http.enablePprof
    proxy.http.enableHSTS proxy.http.maxHeaderBytes proxy.http.hstsMaxAge proxy.http.hstsIncludeSubDomains proxy.internalTLS.*
    proxy.enablePublicPrivilege proxy.queryStream.* proxy.dynamicField.* proxy.enableCachedServiceProvider proxy.maxUserNameLength
    proxy.shardLeaderCacheInterval

    mixCoord.* rootCoord.importTaskExpiration rootCoord.importTaskRetention rootCoord.importTaskSubPath rootCoord.timeTickInterval
    queryCoord.* dataCoord.* dataNode.* indexCoord.* indexNode.* queryNode.* streamingNode.*

    common.retentionDuration common.entityExpiration common.indexSliceSize common.threadCoreCoefficient common.threadCoreCoefficient.*
    common.buildIndexThreadPoolRatio common.DiskIndex.* common.simdType common.storage.* common.preCreatedTopic.* common.locks.*
    common.ttMsgEnabled common.traceLogMode common.bloomFilterSize common.bloomFilterType common.maxBloomFalsePositive
    common.bloomFilterApplyBatchSize common.bloomFilterApplyParallelFactor common.diskWriteMode common.diskWriteBufferSizeKb
    common.diskWriteNumThreads common.diskWriteRateLimiter.* common.estimate.* common.usePartitionKeyAsClusteringKey
    common.useVectorAsClusteringKey common.enableVectorClusteringKey common.enabledJSONShredding common.usingJSONShreddingForQuery
    common.enabledJSONKeyStats common.enabledGrowingSegmentJSONKeyStats common.localRPCEnabled common.sync.* common.fileResource.*
    common.groupBy.* common.enabledOptimizeExpr common.bitmapIndexCardinalityBound common.collectionReplicateEnable
    common.enablePosixMode common.enableMaterializedView common.enableCredentialCheck common.clusterInMemReplica.*
    common.storageZstdConcurrency common.ddlConcurrency common.dropTolerance common.topicNames common.timeTicker common.beamWidthRatio
    common.gc.* common.healthcheck.* common.enableConfigParamTypeCheck common.configParamTypeCheck.* common.hybridSearch.*
    common.exprResCacheEnabled common.arrow.* common.security.exprEnabled common.security.exprAuthMode common.security.rbac.*
    common.security.superUsersEnabled common.session.* log.dev log.file.maxDays log.asyncWrite.* log.grpc.* tls.* internaltls.*

    quotaAndLimits.flushRate.* quotaAndLimits.dbRate.* quotaAndLimits.ddl.* quotaAndLimits.limits.maxDatabaseNum
    quotaAndLimits.limits.maxCompactionTask quotaAndLimits.limits.allocRetryTimes quotaAndLimits.limits.allocWaitInterval
    quotaAndLimits.limits.complexDelete.* quotaAndLimits.indexRate.* quotaAndLimits.compactionRate.* quotaAndLimits.dml.*
    quotaAndLimits.dql.* quotaAndLimits.limitWriting.ttProtection.* quotaAndLimits.limitWriting.memProtection.*
    quotaAndLimits.limitWriting.growingSegmentsSizeProtection.* quotaAndLimits.limitWriting.diskProtection.loadedDiskQuota
    quotaAndLimits.limitWriting.l0SegmentsRowCountProtection.* quotaAndLimits.limitWriting.deleteBufferRowCountProtection.*
    quotaAndLimits.limitWriting.deleteBufferSizeProtection.* quotaAndLimits.limitReading.queueProtection.*
    quotaAndLimits.limitReading.resultProtection.* quotaAndLimits.limitReading.coolOffSpeed
";

struct Names {
    single: BTreeSet<String>,
    below: BTreeSet<String>,
}

fn names() -> &'static Names {
    static NAMES_READ: OnceLock<Names> = OnceLock::new();
    NAMES_READ.get_or_init(|| {
        let mut names = Names { single: BTreeSet::new(), below: BTreeSet::new() };
        for name in NAMES.split_whitespace() {
            match name.strip_suffix(".*") {
                Some(section) => names.below.insert(normalize(section)),
                None => names.single.insert(normalize(name)),
            };
        }
        names
    })
}

/// Sections among them that an operator would rely on: encryption of what is stored, checks of requests by a plug-in.
const RELIED_ON: [&str; 2] = ["cipherplugin", "hook"];

/// Whether someone who sets the accepted name would rely on it.
pub(super) fn is_relied_on(name: &str) -> bool {
    let first = name.strip_prefix("milvus.").unwrap_or(name).split(['.', '/']).next().unwrap_or_default();
    RELIED_ON.contains(&normalize(first).as_str())
}

/// Whether Milvus knows the name and we do nothing with it.
pub(super) fn is_accepted(name: &str) -> bool {
    let names = names();
    if names.single.contains(&normalize(name)) {
        return true;
    }
    let parts: Vec<&str> = name.split(['.', '/']).collect();
    (1..parts.len()).any(|i| names.below.contains(&normalize(&parts[..i].join("."))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_relied_on() {
        assert!(is_relied_on("cipherPlugin.soPathGo") && is_relied_on("milvus.hook.soPath"));
        assert!(!is_relied_on("grpc.log.level") && !is_relied_on("hooks"));
        assert!(RELIED_ON.iter().all(|section| is_accepted(&format!("{section}.x"))));
    }

    #[test]
    fn names_and_sections() {
        for name in
            ["queryNode.segcore.chunkRows", "COMMON.simdtype", "grpc.log.level", "common.DiskIndex.MaxDegree", "milvus.trace.exporter"]
        {
            assert!(is_accepted(name), "{name}");
        }
        for name in ["proxy.localPath", "proxy", "nonsense.key", "common.storageTipe", "quotaAndLimits.enable"] {
            assert!(!is_accepted(name), "{name}");
        }
    }
}
