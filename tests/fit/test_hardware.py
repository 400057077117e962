"""Hardware is read as people and logs describe it."""

from __future__ import annotations

import pytest

from aiplat.errors import BadInput
from aiplat.fit.devices import doubt_about, find_device, metal_working_set, of_the_same_name
from aiplat.fit.hardware import read_hardware
from aiplat.fit.knowledge import GIB, knowledge
from aiplat.fit.question import FitQuestion, as_request
from aiplat.fit.request import EngineSettings
from aiplat.fit.slices import profiles_of
from aiplat.site.mig import MigCard, known_mig_card, mig_card, mig_cards, mig_names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NVIDIA GeForce RTX 4090", "GeForce RTX 4090"),
        ("3080 Ti 12GB", "GeForce RTX 3080 Ti"),
        ("RTX4090", "GeForce RTX 4090"),
        ("RTX 6000 Ada 48GB", "RTX 6000 Ada Generation"),
        ("RTX A6000 48GB", "RTX A6000"),
        ("A100 PCIe 80GB", "A100 PCIe 80 GB"),
        ("NVIDIA A100 SXM 80GB GPUs", "A100 SXM4 80 GB"),
        ("A100-SXM4-40GB", "A100 SXM4 40 GB"),
        ("H100", "H100 SXM5 80 GB"),
        ("H100 PCIe 80GB", "H100 PCIe 80 GB"),
        ("M2 Ultra 76-Core GPU 192GB", "Apple M2 Ultra"),
        ("Nvidia 4070 Ti Super", "GeForce RTX 4070 Ti SUPER"),
        ("AMD Pro W7700", "Radeon PRO W7700"),
        ("AMD RX 7900 XT", "Radeon RX 7900 XT"),
        ("Strix Halo", "Ryzen AI Max+ 395"),
        ("Tesla T4", "Tesla T4"),
    ],
)
def test_devices_are_found_under_their_many_names(text: str, name: str) -> None:
    """The longest name that a text holds is the device."""
    found = find_device(text)
    assert found
    assert found.name == name


@pytest.mark.parametrize(
    ("text", "gib"),
    [
        ("NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", 9.5),
        ("MIG 1g.10gb", 9.5),
        ("nvidia.com/mig-3g.40gb", 39.25),
        ("H100 MIG 3g.40gb", 39.25),
        ("A100 3g.40gb", 39.25),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb+me", 4.75),
        ("NVIDIA H200 MIG 1g.18gb", 16),
        ("NVIDIA H100 NVL MIG 1g.12gb", 10.62),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition MIG 1g.24gb-me", 23.6),
        ("NVIDIA-B200-MIG-1g.23gb", 20.5),
        ("GRID A100-10C", 10),
        ("NVIDIA A40-8Q", 8),
    ],
)
def test_a_part_of_a_card_has_its_own_memory(text: str, gib: float) -> None:
    """A MIG or vGPU profile is never taken for the whole card, however the name is spelt."""
    (gpu,) = read_hardware({"gpu": text}).gpus
    assert (gpu.total or 0) / GIB == pytest.approx(gib, rel=0.02)
    whole = find_device(text)
    assert whole is None or gpu.bandwidth < whole.bandwidth


@pytest.mark.parametrize(
    ("text", "gib"), [("NVIDIA A10G", 22), ("g5.xlarge with A10G", 22), ("2x24GB card", 24)]
)
def test_letters_of_a_name_are_no_amount_of_memory(text: str, gib: int) -> None:
    """The 10G of an A10G is its name."""
    assert round((read_hardware({"gpu": text}).gpus[0].total or 0) / GIB) == gib


def test_a_name_that_only_looks_like_memory_is_not_known() -> None:
    """Where no card of the name is known, the G behind its number says nothing."""
    assert read_hardware({"gpu": "NVIDIA Q99G"}).unclear


def test_a_card_whose_time_is_sliced_is_shared() -> None:
    """The label of a time-sliced card ends in -SHARED: its memory is everybody's."""
    assert read_hardware({"gpu": "NVIDIA-A10-SHARED"}).gpus[0].shared


def test_counts_are_read_where_they_stand() -> None:
    """A field, a number before the name, or one after it; a model's number is not a count."""
    assert len(read_hardware({"gpu": "RTX 3090"}).gpus) == 1
    assert len(read_hardware({"gpu": "RTX 3090", "count": 6}).gpus) == 6
    assert len(read_hardware({"as_stated": "8 × NVIDIA A100 SXM 80GB GPUs on a node"}).gpus) == 8  # noqa: RUF001
    assert len(read_hardware({"gpu": "2x L4"}).gpus) == 2


def test_printed_memory_wins_over_the_box() -> None:
    """What a driver or an engine printed is what there is."""
    assert read_hardware({"gpu": "RTX 3090", "total_gpu_memory_gib": 23.58}).gpus[0].total == round(
        23.58 * GIB
    )
    free = read_hardware({"gpu": "24 GB-class", "memory_available_gib": [22.7]}).gpus[0]
    assert free.usable == round(22.7 * GIB)
    carved = read_hardware({"gpu": "AMD Ryzen AI Max+ 395 (96 GB VRAM carve-out, ROCm)"}).gpus[0]
    assert carved.total == 96 * GIB
    printed = read_hardware({"gpu": "RTX 5070 Ti 16303MiB + RTX 5090 D 32607MiB", "count": 2}).gpus
    assert [round((gpu.total or 0) / GIB) for gpu in printed] == [16, 31]


def test_the_smallest_decides_where_a_mixture_is_unclear() -> None:
    """Of two kinds among three cards nobody said which stands twice."""
    gpus = read_hardware({"gpu": "NVIDIA GeForce RTX 3090, NVIDIA RTX A4000", "count": 3}).gpus
    assert {gpu.name for gpu in gpus} == {"RTX A4000"}


@pytest.mark.parametrize(
    "text", ["not stated", "1 CUDA GPU (not stated)", "8x H200/H20 (doc lists both)", ""]
)
def test_what_names_no_device_is_said_to(text: str) -> None:
    """No card is guessed where none, or more than one, is named."""
    hardware = read_hardware({"gpu": text, "count": 1})
    assert hardware.unclear
    assert not hardware.gpus


def test_processors_have_their_memory() -> None:
    """A machine without accelerators runs on its processor with what is free of its memory."""
    hardware = read_hardware({"gpu": "CPU only, 7.7 GiB RAM", "count": 0, "memory_available_gib": [6.5]})
    assert not hardware.gpus
    assert hardware.cpu.usable == round(6.5 * GIB)
    assert read_hardware({"system": "Pi 5 - 16GB", "processor": "CPU"}).cpu.bandwidth > 1e10


def test_desktops_hold_memory_of_their_card() -> None:
    """Windows, desktops and other programs are taken at their word."""
    assert read_hardware({"gpu": "RTX 3090 24G (Win11, Docker)"}).gpus[0].shared
    assert read_hardware({"gpu": "8.2 GB card, whisper + dwm resident"}).gpus[0].shared
    assert not read_hardware({"gpu": "RTX 3090"}).gpus[0].shared


def test_metal_shows_a_part_of_the_machine() -> None:
    """Two thirds of small machines, three quarters of large ones."""
    assert metal_working_set(8 * GIB) == pytest.approx(5726.63e6, rel=0.01)
    assert metal_working_set(192 * GIB) == pytest.approx(154618.82e6, rel=0.01)


def test_every_price_has_a_source_and_a_date() -> None:
    """Prices age: each says where and when it was seen."""
    for section in ("gpus", "systems", "cpus"):
        for device in knowledge("hardware")[section]:
            price = device.get("price")
            assert price is None or (price["usd"] > 0 and price["date"] and price["source"]), device["name"]
            assert device["tdp_w"] > 0 or section != "gpus", device["name"]


@pytest.mark.parametrize(
    ("text", "gib"),
    [
        ("A100 80GB MIG 1c.3g.40gb", 40),
        ("A100 80GB 1g 10gb", 9.5),
        ("A100-1-5CME", 5),
        ("a100-10c", 10),
        ("T4-1B4", 1),
        ("RTX 3060 8GB", 8),
        ("DGX Spark", 119),
    ],
)
def test_less_than_the_whole_card_is_never_read_as_the_whole(text: str, gib: float) -> None:
    """Parts in every spelling, cards of one name with less memory, and memory that a system shares."""
    gpu = read_hardware({"gpu": text}).gpus[0]
    assert (gpu.total or 0) / GIB == pytest.approx(gib, rel=0.03)


@pytest.mark.parametrize(
    "text",
    [
        "A100 40GB 1g.999gb",
        "A100 40GB 4g.40gb",
        "A100 8g.80gb",
        "H100 1g.80gb",
        "RTX 4090 MIG 1g.5gb",
        "A100-80C",
        "A100 MIG",
        "RTX 4090 Laptop GPU",
        "0x RTX 4090",
    ],
)
def test_a_part_that_no_card_has_or_nobody_named_is_asked_for(text: str) -> None:
    """A slip in a profile, MIG without one, and a laptop's card, which has less than the desktop's."""
    assert read_hardware({"gpu": text}).unclear
    assert doubt_about(find_device(text), text)
    with pytest.raises(BadInput):
        as_request(FitQuestion("llama-3.1-8b", (text,), "ollama", None, EngineSettings()))


def test_a_laptops_card_has_the_memory_that_is_said() -> None:
    """Its name is the desktop's, its memory is not."""
    assert round((read_hardware({"gpu": "RTX 4090 Laptop 16GB"}).gpus[0].total or 0) / GIB) == 16


PARTED = [card["name"] for card in knowledge("hardware")["gpus"] if profiles_of(card["name"])]


@pytest.mark.parametrize("card", PARTED)
def test_every_mig_profile_is_a_part_of_its_cards_and_of_no_whole_one(card: str) -> None:
    """By the label that a node has: less memory than the name says, and a share of bandwidth and cores."""
    whole = find_device(card)
    assert whole
    assert whole.name == card
    for name, gib in profiles_of(card).items():
        (part,) = read_hardware({"gpu": f"NVIDIA-{card.replace(' ', '-')}-MIG-{name}"}).gpus
        assert part.sliced
        assert part.total == min(round(gib * GIB), whole.total or 0)
        assert part.bandwidth <= whole.bandwidth
        assert part.tensor_tflops <= whole.tensor_tflops


@pytest.mark.parametrize("section", ["gpus", "systems"])
def test_every_device_is_found_by_its_own_name_and_its_aliases(section: str) -> None:
    """None is hidden by another of a similar name."""
    for device in knowledge("hardware")[section]:
        for name in (device["name"], *device.get("aliases", ())):
            found = find_device(name)
            assert found, name
            assert found.name == device["name"], name


@pytest.mark.parametrize(
    ("text", "gib"),
    [
        ("NVIDIA A16", 16),
        ("NVIDIA-L40S", 48),
        ("RTX 4000", 8),
        ("NVIDIA RTX 4000 SFF Ada Generation", 20),
        ("RTX A4000", 16),
        ("RTX PRO 4000", 24),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", 96),
        ("NVIDIA GH200 480GB", 96),
        ("NVIDIA B200", 180),
        ("Tesla M40", 12),
        ("RTX 2060 SUPER", 8),
        ("Jetson Orin Nano 8GB", 8),
    ],
)
def test_a_number_in_a_cards_name_is_not_its_memory(text: str, gib: int) -> None:
    """Nor is the memory of the processor beside it, which a GH200 has in its name."""
    found = (read_hardware({"gpu": text}).gpus[0].total or 0) / GIB
    assert 0.9 * gib < found <= gib


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("A100 SXM", ["A100 SXM4 80 GB"]),
        ("A100 SXM 80GB", []),
        ("A100 3g.40gb", []),
        ("H100 SXM", []),
        ("RTX 4090", []),
        ("no card", []),
    ],
)
def test_a_name_of_several_cards_is_told_from_one_that_says_which(text: str, others: list[str]) -> None:
    """The smallest is taken; what nobody means without its memory is not among the others."""
    assert of_the_same_name(text) == others


def test_an_answer_says_which_card_of_a_name_it_is_for() -> None:
    """Whoever has the larger one sees that the answer is not about it."""
    asked = FitQuestion("llama3.1:8b", ("A100 SXM",), "ollama", None, EngineSettings())
    assert any("A100 SXM4 40 GB" in said and "A100 SXM4 80 GB" in said for said in as_request(asked).assumed)


@pytest.mark.parametrize(
    ("text", "count"),
    [("8xH100 80GB", 8), ("H100x8", 8), ("100x RTX 4090", 100), ("RX 7900 XT", 1), ("4*L4", 4)],
)
def test_how_many_cards_there_are_is_said_before_or_after_their_name(text: str, count: int) -> None:
    """With or without a space; the XT of a Radeon is its name."""
    assert len(read_hardware({"gpu": text}).gpus) == count


@pytest.mark.parametrize("card", mig_cards(), ids=lambda card: card.name)
def test_fit_judges_the_parts_of_the_card_that_a_site_means(card: MigCard) -> None:
    """One file says which profiles a card has; its name there leads to the same card among fit's devices."""
    found = find_device(card.name)
    assert found
    assert known_mig_card(found.name) == card
    assert profiles_of(found.name) == card.seen
    assert all(0.7 * int(name.split(".")[1][:-2]) < gib for name, gib in card.seen.items())


def test_a_site_parts_cards_of_which_it_is_known_how_many_parts_fit() -> None:
    """Of others the parts are judged where somebody names one."""
    assert mig_card("RTX PRO 4500 Blackwell") is None
    assert profiles_of("RTX PRO 4500 Blackwell") == {"1g.16gb": 15.5, "2g.32gb": 31.2}
    assert all(card.compute for card in map(mig_card, mig_names()) if card)
