"""Makes the bucket that artifacts go to, unless it is there, and becomes MLflow's server."""

import os
from urllib.parse import urlsplit

import boto3


def main() -> None:
    """Start the server."""
    bucket = urlsplit(os.environ["MLFLOW_ARTIFACTS_DESTINATION"]).netloc
    s3 = boto3.client("s3", endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL"))
    if bucket not in {found["Name"] for found in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=bucket)
    os.execvp("mlflow", ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000", "--workers", "2"])


if __name__ == "__main__":
    main()
