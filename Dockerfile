# docker build -t tokviz .  &&  docker run --read-only --tmpfs /tmp -p 7860:7860 tokviz
#
# The embedded model needs no network. Other models are loaded from the Hub when they are asked for;
# mount a volume on /tmp/huggingface to keep them. For the CPU build of torch give its index:
# docker build --build-arg PIP_EXTRA_INDEX_URL=... -t tokviz .
FROM python:3.11-slim

ARG PIP_EXTRA_INDEX_URL=
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1
ENV HOME=/tmp HF_HOME=/tmp/huggingface GRADIO_TEMP_DIR=/tmp/gradio XDG_CACHE_HOME=/tmp/cache
ENV GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=7860

RUN useradd --no-create-home --uid 1000 tokviz
WORKDIR /srv/tokviz

COPY requirements.txt ./
RUN python -m pip install -r requirements.txt

COPY app.py README.md LICENSE ./
COPY assets/ assets/
COPY components/ components/
COPY tokviz/ tokviz/
RUN python -m compileall -q components tokviz

USER 1000
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
CMD ["python", "app.py"]
