"""Words that tell names from other words with capitals."""

from __future__ import annotations

TITLES = frozenset(
    """
    mr mrs ms miss mx dr prof professor sir madam lady lord herr frau mme mlle monsieur madame sr sra srta señor
    señora signor signora don doña dott rev reverend captain capt sgt sergeant colonel col general gen lieutenant lt
    judge president senator minister uncle aunt king queen prince princess pan pani hr fru dhr mevr
    """.split()  # noqa: SIM905
)
COMMON = frozenset(
    """
    i a an the this that these those it its he she they we you my your his her our their is are was were be been do
    does did have has had will would can could should may might must not no yes and or but if then so because as at
    by for from in into of on onto to up with without about after before over under what who whom whose which when
    where why how all any each every some most more many much there here also just only very too than please thank
    thanks hello hi hey dear sincerely regards monday tuesday wednesday thursday friday saturday sunday january
    february march april june july august september october november december let me us am mon tue wed thu fri sat
    sun jan feb mar apr jun jul aug sep oct nov dec
    """.split()  # noqa: SIM905
)
PARTICLES = frozenset("van von der den de del della di da dos du la le el al bin ibn ben ter ten zu af av y e".split())  # noqa: SIM905
WHERE = frozenset({"in", "to", "at", "from", "near", "for", "via"})
"""Prepositions that places and firms follow rather than people."""
COUNTRIES = frozenset(
    """
    afghanistan africa albania algeria andorra angola argentina armenia asia australia austria azerbaijan bahamas
    bahrain bangladesh barbados belarus belgium belize benin bhutan bolivia bosnia botswana brazil brunei bulgaria
    burma burundi cambodia cameroon canada chile china colombia comoros congo croatia cuba cyprus czechia denmark
    djibouti dominica ecuador egypt england eritrea estonia eswatini ethiopia europe fiji finland france gabon
    gambia germany ghana greece greenland grenada guatemala guyana haiti honduras hungary iceland india indonesia
    iran iraq ireland israel italy jamaica japan kazakhstan kenya kiribati kosovo kuwait kyrgyzstan laos latvia
    lebanon lesotho liberia libya liechtenstein lithuania luxembourg madagascar malawi malaysia maldives mali malta
    mauritania mauritius mexico micronesia moldova monaco mongolia montenegro morocco mozambique myanmar namibia
    nauru nepal netherlands nicaragua niger nigeria norway oman pakistan palau palestine panama paraguay peru
    philippines poland portugal qatar romania russia rwanda samoa scotland senegal serbia seychelles singapore
    slovakia slovenia somalia spain sudan suriname sweden switzerland syria taiwan tajikistan tanzania thailand togo
    tonga tunisia turkey turkmenistan tuvalu uganda ukraine uruguay uzbekistan vanuatu venezuela vietnam wales yemen
    zambia zealand zimbabwe
    """.split()  # noqa: SIM905
)
FIRMS = frozenset(
    """
    inc incorporated ltd limited llc llp plc corp corporation co company group gmbh ag kg sa sas srl spa bv nv oy ab
    as aps associates partners holdings industries technologies technology systems solutions services software
    consulting research investments capital bank insurance institute university college school orchestra foundation
    lines media labs laboratories international global ventures club society association agency stores hotels
    airlines energy motors pharmaceuticals sons bros brothers
    """.split()  # noqa: SIM905
)
