"""The main job over etcd, Kafka and an object store instead of own files: the servers that the environment names.

    ELANUS_BIN=… ELANUS_TEST_ETCD=… ELANUS_TEST_KAFKA=… ELANUS_TEST_S3=… python external_storage.py

Once straight through, and once with a server that is killed after every step: whatever it has acknowledged is in the servers.
"""
# sdk: pymilvus-3.0.2

import os
import sys
import uuid

import main_job

NEEDED = ["ELANUS_TEST_ETCD", "ELANUS_TEST_KAFKA", "ELANUS_TEST_S3", "ELANUS_TEST_S3_KEY", "ELANUS_TEST_S3_SECRET", "ELANUS_TEST_S3_BUCKET"]


def config() -> str:
    """A milvus.yaml that names the servers, with names of its own in each of them."""
    etcd, kafka, s3, key, secret, bucket = (os.environ[name] for name in NEEDED)
    name = f"elanus-sdk-{uuid.uuid4().hex[:12]}"
    return f"""
etcd: {{endpoints: '{etcd}', rootPath: '{name}'}}
mq: {{type: kafka}}
kafka: {{brokerList: '{kafka}'}}
minio: {{address: '{s3}', accessKeyID: '{key}', secretAccessKey: '{secret}', bucketName: '{bucket}', rootPath: '{name}'}}
common: {{storageType: remote}}
msgChannel: {{chanNamePrefix: {{cluster: '{name}'}}}}
rootCoord: {{dmlChannelNum: 4}}
"""


def main() -> None:
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        print(f"no external storage: {', '.join(missing)}")
        sys.exit(77)
    for kill in (False, True):
        main_job.run("client", kill, config=config())


if __name__ == "__main__":
    main()
