"""Fingerprints of the known optimizers that have no form: to compute them takes seconds.

They follow from the library and from what a fingerprint is; a test compares them, and says what is
to stand here where one of both has changed.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FORMLESS"]

FORMLESS: Final = {
    "amsgrad": "cf817fcf2f0b688f",
    "adabelief": "aa60ac3434d3b91e",
    "yogi": "dc2675e875bf920d",
    "laprop": "55f9c60fb61fa05c",
    "adopt": "9fffa457433d262d",
    "radam": "3e7e0d900c839895",
    "nadamw": "6cc0699fed1be21f",
    "adan": "2df00bcf3068615e",
    "ademamix": "3076fc5b8795eb80",
    "cautious_adamw": "95e43699afd371a3",
    "mars_adamw": "3cf79fed0a111409",
    "lookahead": "98ea8a387168df91",
    "schedulefree_adamw": "6159384722190227",
    "sophia": "82d1b665c18de6bf",
    "addsign": "9952c0fd0c203811",
    "powersign": "aa1c52c9dea5f120",
    "lamb": "62e07843b87fd9c7",
    "lars": "4dc9ec53f9cd7e49",
    "prodigy": "57943555164ecb77",
    "adafactor": "61ecf0f360d59fef",
    "came": "69fce8689832583a",
    "adam_mini": "6c2ab7fd861e53c3",
    "scale": "4df8d24cdebba6a0",
    "normuon": "1a136c64a88caed0",
    "adamuon": "4639ee38d59da1b2",
    "muon_h": "191522b73da1f015",
    "adam_h": "7a1ca0bd059735c9",
    "ema_nesterov_muon": "30777139cded74dc",
    "contra_muon": "e213ce97f25e3041",
    "scion": "3a054cfa1ee1afc9",
    "orthogonal_sgdm": "10e27f3cb3079c47",
    "polargrad": "51023e0103efdff1",
    "shampoo": "7c45822f2bc1ae0d",
    "kron": "fbd6e2ec637abc13",
    "soap": "beb0443ccf6df602",
    "soap_muon": "630bdf7ba3e0cf06",
    "splus": "406994eae823d27b",
}
"""By name."""
