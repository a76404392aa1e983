# One image for all services; the command says which: ingress-smtp, policy, delivery-local,
# delivery-remote, imap-gateway, pop3-gateway, postmaster; and posthouse for operators.

FROM python:3.11-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/posthouse
ENV PATH=/opt/posthouse/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock
COPY deploy/build.lock ./deploy/
RUN python -m venv /opt/build && /opt/build/bin/pip install --require-hashes -r deploy/build.lock
COPY pyproject.toml README.md ./
COPY shared ./shared
COPY services ./services
RUN /opt/build/bin/hatchling build -t wheel -d dist && pip install --no-deps dist/*.whl

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="Posthouse" \
      org.opencontainers.image.description="A mail system for large organizations"
RUN groupadd --gid 10001 posthouse \
 && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin posthouse \
 && install -d -o posthouse -g posthouse /var/lib/posthouse
COPY --from=build /opt/posthouse /opt/posthouse
ENV PATH=/opt/posthouse/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/posthouse
STOPSIGNAL SIGTERM
CMD ["posthouse", "--help"]
