"""A cluster of three NATS nodes, which can be killed and partitioned from each other."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.proxy import Proxy
from tests.support.serving import free_port

NATS_SERVER = str(Path(sys.executable).parent / "nats-server")


@dataclass
class Node:
    """One NATS server. The others reach it only through `door`."""

    name: str
    folder: Path
    port: int
    route_port: int
    door: Proxy
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self, others: "list[Node]") -> None:
        """Start it and wait until it accepts connections."""
        routes = ", ".join(f'"nats://127.0.0.1:{other.door.port}"' for other in others)
        configuration = f"""
            server_name: {self.name}
            host: 127.0.0.1
            port: {self.port}
            cluster {{
                name: faults
                host: 127.0.0.1
                port: {self.route_port}
                advertise: "127.0.0.1:{self.door.port}"
                routes: [{routes}]
            }}
        """
        path = self.folder / f"{self.name}.conf"
        path.write_text(configuration)
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                NATS_SERVER, "-c", str(path), stdout=log, stderr=log
            )
        async with asyncio.timeout(20):
            while not await _answers(self.port):
                assert self.process.returncode is None, "NATS does not start"
                await asyncio.sleep(0.005)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@dataclass
class NatsCluster:
    """The nodes of the cluster."""

    nodes: list[Node]

    async def start(self, node: Node) -> None:
        """Start one node."""
        await node.start([other for other in self.nodes if other is not node])

    def part(self) -> None:
        """Partition the nodes from each other; their clients stay connected."""
        for node in self.nodes:
            node.door.target = None
            node.door.cut_all()

    def join(self) -> None:
        """Heal the partition."""
        for node in self.nodes:
            node.door.target = node.route_port


@asynccontextmanager
async def running_nats_cluster(folder: Path) -> AsyncGenerator[NatsCluster]:
    """Run three nodes until the block ends."""
    async with AsyncExitStack() as stack:
        nodes: list[Node] = []
        for number in range(3):
            port, route_port = free_port(), free_port()
            door = await stack.enter_async_context(Proxy(route_port).open())
            nodes.append(Node(f"node-{number}", folder, port, route_port, door))
        cluster = NatsCluster(nodes)
        for node in nodes:
            stack.push_async_callback(node.kill)
            await cluster.start(node)
        yield cluster


async def _answers(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    said = await reader.readline()
    writer.close()
    return said.startswith(b"INFO")
