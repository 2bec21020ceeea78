//! How to reach Kafka: the few settings that Milvus's file has, and raw librdkafka settings that it passes on.

use std::collections::BTreeMap;

use rdkafka::config::ClientConfig;

/// Settings of the Kafka log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `kafka.brokerList`: host:port, separated by commas.
    pub brokers: String,
    /// TLS and SASL, if any.
    pub security: KafkaSecurity,
    /// `kafka.producer.*`: passed to librdkafka as they are.
    pub producer: BTreeMap<String, String>,
    /// `kafka.consumer.*`: passed to librdkafka as they are.
    pub consumer: BTreeMap<String, String>,
}

/// `kafka.securityProtocol`, `kafka.sasl*`, `kafka.ssl.*`; empty is unset.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KafkaSecurity {
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT`, `SASL_SSL`.
    pub protocol: String,
    /// `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`.
    pub sasl_mechanism: String,
    /// User.
    pub sasl_username: String,
    /// Password.
    pub sasl_password: String,
    /// File with the authorities to trust.
    pub tls_authority_file: String,
    /// File with the client's certificate.
    pub tls_certificate_file: String,
    /// File with the client's key.
    pub tls_key_file: String,
    /// The key's password.
    pub tls_key_password: String,
}

impl std::fmt::Debug for KafkaSecurity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { protocol, sasl_mechanism, sasl_username, .. } = self;
        write!(f, "KafkaSecurity({protocol}, {sasl_mechanism}, {sasl_username})")
    }
}

impl KafkaConfig {
    fn common(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", "elanus");
        // librdkafka would wait up to ten seconds before it tries a broker again that was away for a while.
        config.set("reconnect.backoff.max.ms", "1000");
        let security = &self.security;
        for (key, value) in [
            ("security.protocol", &security.protocol),
            ("sasl.mechanism", &security.sasl_mechanism),
            ("sasl.username", &security.sasl_username),
            ("sasl.password", &security.sasl_password),
            ("ssl.ca.location", &security.tls_authority_file),
            ("ssl.certificate.location", &security.tls_certificate_file),
            ("ssl.key.location", &security.tls_key_file),
            ("ssl.key.password", &security.tls_key_password),
        ] {
            if !value.is_empty() {
                config.set(key, value);
            }
        }
        config
    }

    /// For the admin client.
    pub(super) fn admin(&self) -> ClientConfig {
        self.common()
    }

    /// Idempotent, acknowledged by all replicas in sync; an operator's settings can't change that.
    pub(super) fn producer(&self, message_bytes_max: usize) -> ClientConfig {
        let mut config = self.common();
        config.set("linger.ms", "1").set("message.timeout.ms", "10000");
        for (key, value) in &self.producer {
            config.set(key, value);
        }
        config.set("enable.idempotence", "true").set("acks", "all").set("message.max.bytes", message_bytes_max.to_string());
        config
    }

    /// Reads what it is told to, and says so when that isn't there: librdkafka's own way is to skip in silence.
    pub(super) fn consumer(&self) -> ClientConfig {
        let mut config = self.common();
        config.set("fetch.wait.max.ms", "100").set("group.id", "elanus-log");
        for (key, value) in &self.consumer {
            config.set(key, value);
        }
        config
            .set("auto.offset.reset", "error")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true");
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_data_safe_cannot_be_changed() {
        let config = KafkaConfig {
            brokers: "h:1".into(),
            producer: [("acks", "0"), ("linger.ms", "7")].map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            consumer: [("auto.offset.reset", "latest")].map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..Default::default()
        };
        let producer = config.producer(1_000);
        assert_eq!((producer.get("acks"), producer.get("linger.ms")), (Some("all"), Some("7")));
        assert_eq!(config.consumer().get("auto.offset.reset"), Some("error"));
    }

    #[test]
    fn the_library_knows_scram_and_tls() {
        let config = ClientConfig::new().create_native_config().expect("an empty configuration is valid");
        let features = config.get("builtin.features").expect("librdkafka tells its features");
        for needed in ["ssl", "sasl_scram", "sasl_plain", "zstd"] {
            assert!(features.contains(needed), "{needed} is missing in {features}");
        }
    }
}
