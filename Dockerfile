# Training and evaluation on NVIDIA GPUs:
#
#   docker build --tag ecgjax .
#   docker run --gpus all --volume /data:/shared --env TFDS_DATA_DIR=/shared/tensorflow_datasets ecgjax \
#     --config=configs/diagnosis.py:ptbxl --workdir=/shared/runs/diagnosis
#
# JAX's wheels bring CUDA and cuDNN; the driver is that of the host (NVIDIA Container Toolkit).
FROM python:3.12-slim

# cuda12 or cuda13, as the driver allows
ARG CUDA=cuda12

ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTHONUNBUFFERED=1

WORKDIR /ecgjax
COPY pyproject.toml README.md LICENSE ./
COPY ecgjax ecgjax
COPY data_prep data_prep
COPY configs configs
COPY scripts scripts
RUN pip install --no-cache-dir --editable ".[$CUDA]"

RUN useradd --create-home ecgjax
USER ecgjax
ENTRYPOINT ["python", "-m", "ecgjax.main"]
CMD ["--config=configs/reversal.py", "--workdir=/tmp/runs/reversal"]
